#!/bin/sh
# Runs once, on an empty database: a role for each service. The evaluator owns the tables and gives the others the
# rights to what they need when it makes them.
set -eu
role() { printf "CREATE ROLE monitor_%s LOGIN PASSWORD '%s';\n" "$1" "$(cat "/run/secrets/$1")"; }
{
	role evaluator
	role notifier
	role web
	echo "CREATE DATABASE monitor OWNER monitor_evaluator;"
	echo "REVOKE CONNECT, TEMPORARY ON DATABASE monitor FROM PUBLIC;"
	echo "GRANT CONNECT ON DATABASE monitor TO monitor_notifier, monitor_web;"
} | psql -v ON_ERROR_STOP=1 --no-psqlrc -q -U postgres -d postgres
