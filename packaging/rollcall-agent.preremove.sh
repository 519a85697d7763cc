#!/bin/sh
# Before the files go: the service ends. An update keeps it running until it is restarted.
set -e
if [ -n "$DPKG_ROOT" ] || [ ! -d /run/systemd/system ]; then
	exit 0
fi
case "$1" in
remove | 0) systemctl disable --now rollcall-agent.service ;;
esac
