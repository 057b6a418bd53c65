# Completion of icetop, from its table of options, by `ICE_WRITE=1 cargo test -p ice-bins --test manual`.
complete -c icetop -f
complete -c icetop -s s -l scheduler -x -d 'use this scheduler instead of looking for one by broadcast'
complete -c icetop -s n -l netname -x -d 'look for the scheduler of this network (default: ICECREAM)'
complete -c icetop -s p -l port -x -d 'port of the scheduler, where -s gives none (default: 8765)'
complete -c icetop -l once -d 'print the state as text and end'
complete -c icetop -l json -d 'print the state as JSON and end'
complete -c icetop -l for -x -d 'with --once or --json: listen so long (default: 1)'
complete -c icetop -l record -r -F -d 'write what the scheduler says to this file'
complete -c icetop -l replay -r -F -d 'show a recording instead of a running cluster'
complete -c icetop -l speed -x -d 'with --replay: so many times as fast (default: 1)'
complete -c icetop -s h -l help -d 'show this text'
complete -c icetop -l version -d 'show the version'
