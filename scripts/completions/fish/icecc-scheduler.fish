# Completion of icecc-scheduler, from its table of options, by `ICE_WRITE=1 cargo test -p ice-bins --test manual`.
complete -c icecc-scheduler -f
complete -c icecc-scheduler -s d -l daemonize -d 'detach; returns when the ports are open'
complete -c icecc-scheduler -s n -l netname -x -d 'the network to serve (default ICECREAM)'
complete -c icecc-scheduler -s i -l interface -x -d 'listen on this network device only'
complete -c icecc-scheduler -l allow -x -d 'hear hosts of these networks alone'
complete -c icecc-scheduler -l text-interface -x -d 'text port on this address or network device alone'
complete -c icecc-scheduler -s p -l port -x -d 'TCP and UDP port (default 8765); the text port is the next'
complete -c icecc-scheduler -s u -l user-uid -x -d 'run as this user when started by root (default icecc)'
complete -c icecc-scheduler -s r -l persistent-client-connection -d 'keep hosts and monitors when a better scheduler appears'
complete -c icecc-scheduler -s l -l log-file -r -F -d 'log to this file instead of standard error'
complete -c icecc-scheduler -s v -d 'log more: warnings, -vv info, -vvv debug'
complete -c icecc-scheduler -s h -l help -d 'show this text'
complete -c icecc-scheduler -l version -d 'show the version'
