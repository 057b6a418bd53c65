# Completion of icecc, from its table of options, by `ICE_WRITE=1 cargo test -p ice-bins --test manual`.
complete -c icecc -x -a '(__fish_complete_subcommand)'
complete -c icecc -n __fish_use_subcommand -l help -d 'show this text'
complete -c icecc -n __fish_use_subcommand -l version -d 'show the version'
complete -c icecc -n __fish_use_subcommand -l build-native -d 'make an environment (archive) of COMPILER, gcc by default, with FILEs added'
complete -c icecc -n __fish_use_subcommand -l inspect-env -d 'tell what an environment is for, what it holds and what it lacks'
complete -c icecc -n __fish_use_subcommand -l json -d 'with --inspect-env: as JSON'
complete -c icecc -n __fish_use_subcommand -l update-links -d 'make a link to icecc for each compiler in PATH (gcc, g++-12, arm-linux-gnueabihf-gcc, ...)'
complete -c icecc -n __fish_use_subcommand -l dry-run -d 'with --update-links: only tell what would be done'
