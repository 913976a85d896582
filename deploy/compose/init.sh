#!/bin/sh
# Makes the passwords of this deployment, once, and gives each service the files with its own: a folder that no other
# service has. Runs before anything else at every `docker compose up`; what was made is kept, what the settings file
# says is taken anew. `init.sh show` prints the secret of the agents, `init.sh show grafana` Grafana's password.
set -eu
umask 077
made=/secrets/made
settings=/run/settings

# keep NAME: a password, made at the first call
keep() {
	if [ ! -s "$made/$1" ]; then
		head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$made/$1.new"
		mv "$made/$1.new" "$made/$1"
	fi
	cat "$made/$1"
}

# setting NAME: its value in the settings file, without quotes around it; nothing when it is not there
setting() {
	sed -n "s/^[[:space:]]*$1=//p" "$settings" | tail -n 1 | tr -d '\r' |
		sed -e "s/^'\([^']*\)'.*\$/\1/;t" -e 's/^"\([^"]*\)".*$/\1/;t' -e 's/[[:space:]]\{1,\}#.*$//' -e 's/[[:space:]]*$//'
}

# give SERVICE NAME VALUE: the file NAME for the service alone
give() {
	uid=65532
	case $1 in
	postgres) uid=$(id -u postgres) ;;
	grafana) uid=472 ;;
	esac
	rm -f "/secrets/$1/$2.new"
	printf '%s\n' "$3" >"/secrets/$1/$2.new"
	chmod 0400 "/secrets/$1/$2.new"
	chown "$uid:$uid" "/secrets/$1/$2.new"
	mv -f "/secrets/$1/$2.new" "/secrets/$1/$2"
}

# bus SERVICE: the addresses of NATS with the service's password
bus() {
	out=
	for server in $(echo "$NATS_SERVERS" | tr , ' '); do
		out=$out${out:+,}nats://$1:$(keep "nats-$1")@$server
	done
	echo "$out"
}

shared=$(setting SHARED_SECRET)
[ -n "$shared" ] || shared=$(keep shared-secret)
case ${1:-} in
show)
	[ "${2:-}" != grafana ] || shared=$(keep grafana)
	printf '%s\n' "$shared"
	exit
	;;
esac

# A new volume is root's.
for volume in /volumes/*; do
	chown 65532:65532 "$volume"
done

give ingest SHARED_SECRET "$shared"
for service in ingest evaluator notifier web; do
	give $service NATS_URL "$(bus $service)"
done
give postgres superuser "$(keep db-superuser)"
for service in evaluator notifier web; do
	give $service DATABASE_URL "postgres://monitor_$service:$(keep db-$service)@postgres:5432/monitor"
	give postgres $service "$(keep db-$service)"
done
give nats passwords.conf "$(for user in ingest evaluator notifier web; do
	echo "$(echo $user | tr a-z A-Z)_PASSWORD: \"$(keep nats-$user)\""
done)"
give nats cluster.conf "cluster {
	name: monitor
	listen: 0.0.0.0:6222
	authorization { user: cluster, password: \"$(keep nats-cluster)\", timeout: 2 }
	routes: [$(for server in $(echo "$NATS_SERVERS" | tr , ' '); do
		echo "\"nats-route://cluster:$(keep nats-cluster)@${server%:*}:6222\""
	done)]
}"
for name in TELEGRAM_BOT_TOKEN TELEGRAM_CHAT_ID WEBHOOK_URL WEBHOOK_SECRET DEADMAN_URL; do
	give notifier $name "$(setting $name)"
done
for service in ingest evaluator notifier; do
	give $service OTEL_EXPORTER_OTLP_HEADERS "$(setting OTEL_EXPORTER_OTLP_HEADERS)"
done
for name in WEB_USERNAME WEB_PASSWORD ADMIN_TOKEN OIDC_CLIENT_SECRET; do
	give web $name "$(setting $name)"
done
[ ! -d /secrets/grafana ] || give grafana admin_password "$(keep grafana)"
