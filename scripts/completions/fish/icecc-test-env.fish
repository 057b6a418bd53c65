# Completion of icecc-test-env, from its table of options, by `ICE_WRITE=1 cargo test -p ice-bins --test manual`.
complete -c icecc-test-env -s q -l quiet -d 'say nothing if all is well'
complete -c icecc-test-env -s h -l help -d 'show this text'
complete -c icecc-test-env -l version -d 'show the version'
