# Completion of icedump, from its table of options, by `ICE_WRITE=1 cargo test -p ice-bins --test manual`.
complete -c icedump -l reencode -x -a '(__fish_complete_directories)' -d 'write DIR/a.bin and DIR/b.bin anew from what was read'
complete -c icedump -l udp -d 'each FILE is a datagram'
complete -c icedump -l protocol -x -d 'one direction of a connection that speaks N, no handshake'
complete -c icedump -l dir -x -a 'a b' -d 'with --protocol: who wrote it, a connected, b accepted'
complete -c icedump -s h -l help -d 'show this text'
complete -c icedump -l version -d 'show the version'
