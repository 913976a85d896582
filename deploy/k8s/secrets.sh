#!/bin/sh
# Writes the Secrets of a monitor, with new passwords, for trying out: deploy/k8s/secrets.sh | kubectl apply -f -
# Once: what is in the database and in NATS goes by the first ones. From the environment: TELEGRAM_BOT_TOKEN,
# TELEGRAM_CHAT_ID, and SHARED_SECRET, ADMIN_TOKEN if they are not to be made here. The secret of the agents afterwards:
#   kubectl -n gensyn-monitor get secret ingest -o jsonpath='{.data.SHARED_SECRET}' | base64 -d
set -eu
namespace=${NAMESPACE:-gensyn-monitor}
nats_hosts=${NATS_HOSTS:-nats:4222}
database=${DATABASE:-postgres:5432/monitor}

password() { head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n'; }

# secret NAME KEY VALUE...: values are written as JSON strings
secret() {
	printf -- '---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: %s\n  namespace: %s\ntype: Opaque\nstringData:\n' "$1" "$namespace"
	shift
	while [ $# -gt 0 ]; do
		[ -z "$2" ] || printf '  %s: "%s"\n' "$1" "$(printf '%s' "$2" | sed 's/\\/\\\\/g; s/"/\\"/g' | awk 'NR > 1 { printf "\\n" } { printf "%s", $0 }')"
		shift 2
	done
}

# bus USER PASSWORD: the addresses of NATS with both
bus() {
	for host in $(echo "$nats_hosts" | tr , ' '); do printf 'nats://%s:%s@%s ' "$1" "$2" "$host"; done | sed 's/ $//; s/ /,/g'
}

peers=$(password)
for service in ingest evaluator notifier web; do eval "nats_$service=$(password) db_$service=$(password)"; done

printf 'apiVersion: v1\nkind: Namespace\nmetadata:\n  name: %s\n  labels:\n    pod-security.kubernetes.io/enforce: restricted\n    pod-security.kubernetes.io/warn: restricted\n' "$namespace"
secret nats passwords.conf "INGEST_PASSWORD: \"$nats_ingest\"
EVALUATOR_PASSWORD: \"$nats_evaluator\"
NOTIFIER_PASSWORD: \"$nats_notifier\"
WEB_PASSWORD: \"$nats_web\"" cluster.conf "authorization { user: cluster, password: \"$peers\", timeout: 2 }
routes: [
$(for i in 0 1 2; do echo "\"nats://cluster:$peers@nats-$i.nats:6222\""; done)
]"
secret postgres superuser "$(password)" evaluator "$db_evaluator" notifier "$db_notifier" web "$db_web"
secret ingest NATS_URL "$(bus ingest "$nats_ingest")" SHARED_SECRET "${SHARED_SECRET:-$(password)}"
secret evaluator NATS_URL "$(bus evaluator "$nats_evaluator")" DATABASE_URL "postgres://monitor_evaluator:$db_evaluator@$database"
secret notifier NATS_URL "$(bus notifier "$nats_notifier")" DATABASE_URL "postgres://monitor_notifier:$db_notifier@$database" \
	TELEGRAM_BOT_TOKEN "${TELEGRAM_BOT_TOKEN:-}" TELEGRAM_CHAT_ID "${TELEGRAM_CHAT_ID:-}"
secret web NATS_URL "$(bus web "$nats_web")" DATABASE_URL "postgres://monitor_web:$db_web@$database" ADMIN_TOKEN "${ADMIN_TOKEN:-$(password)}"
