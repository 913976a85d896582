#!/usr/bin/env bash
# mmdebstrap, kept away from the machine: it mounts /proc, /sys and devices of the machine into the folder it fills, and
# when it is killed leaves them there, where the next `rm -rf` of the folder walks into the machine's own. Here it has
# mounts of its own, which end with it, and a /dev of its own, in which nothing is the machine's.
set -euo pipefail
[ -n "${MMDEBSTRAP_INSIDE:-}" ] || MMDEBSTRAP_INSIDE=1 exec unshare --mount --propagation private "$0" "$@"
mount -t tmpfs -o mode=755,dev tmpfs /mnt
for node in null:3 zero:5 full:7 random:8 urandom:9; do mknod -m 666 "/mnt/${node%:*}" c 1 "${node#*:}"; done
mknod -m 666 /mnt/tty c 5 0
mkdir /mnt/pts /mnt/shm
ln -s /proc/self/fd /mnt/fd
ln -s pts/ptmx /mnt/ptmx
for n in 0:stdin 1:stdout 2:stderr; do ln -s "/proc/self/fd/${n%:*}" "/mnt/${n#*:}"; done
mount --move /mnt /dev
mount -t devpts -o ptmxmode=666 devpts /dev/pts
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
exec mmdebstrap "$@"
