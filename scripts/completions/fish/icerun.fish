# Completion of icerun, from its table of options, by `ICE_WRITE=1 cargo test -p ice-bins --test manual`.
complete -c icerun -x -a '(__fish_complete_subcommand)'
complete -c icerun -n __fish_use_subcommand -l help -d 'show this text'
complete -c icerun -n __fish_use_subcommand -l version -d 'show the version'
