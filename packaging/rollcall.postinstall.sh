#!/bin/sh
# After the files are in place: the user, who may read the folder of settings and nothing
# else there, and systemd's picture of the unit. It is not started: it has to be told
# first what to do. One that runs already goes on with the new program.
set -e
if [ -n "$DPKG_ROOT" ]; then
	exit 0 # into a folder: its machine is not running
fi
systemd-sysusers rollcall.conf
chgrp -R rollcall /etc/rollcall
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
	systemctl try-restart rollcall.service
fi
