#!/bin/sh
# Both kinds of package call this before an update, too (deb: upgrade, rpm: 1): then the service goes on until the new
# program is there.
set -e
case "${1:-remove}" in upgrade | 1) exit 0 ;; esac
[ -d /run/systemd/system ] || exit 0
systemctl disable --now gensyn-monitor.service
