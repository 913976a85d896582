#!/usr/bin/env bash
# Makes local stand-ins, under the same tags, for container images that cannot be pulled: from Debian's packages and Go
# modules. NATS, Caddy and Prometheus are the real programs of the version that the tag names; Postgres is Debian's,
# whatever the tag says, with the same variables, folders and users as the official image; Grafana is a stub that
# answers /api/health. They are for tests alone.
#
#   images.sh IMAGE...     images that exist already are left as they are
#
# Needs root, docker, mmdebstrap, libcap2-bin, go. ROOT is the folder to work in (prepare.sh sets it).
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
ROOT=${ROOT:?}
mkdir -p "$ROOT" && ROOT=$(cd "$ROOT" && pwd)
SUITE=${SUITE:-$(. /etc/os-release && echo "$VERSION_CODENAME")}
HOST_CA=${HOST_CA-/etc/ssl/certs/ca-certificates.crt}
LABEL=standin.recipe

die() { echo "stand-in: $*" >&2; exit 1; }
say() { echo "stand-in: $*" >&2; }

# --- helpers -----------------------------------------------------------------

# deb DIR PKG...: unpack Debian packages (no maintainer scripts) into DIR
deb() {
	local dir=$1 p; shift
	mkdir -p "$ROOT/debs" "$dir"
	for p; do
		ls "$ROOT/debs/${p}_"*.deb >/dev/null 2>&1 ||
			(cd "$ROOT/debs" && apt-get -qq -o APT::Sandbox::User=root download "$p")
		dpkg-deb -x "$(ls "$ROOT/debs/${p}_"*.deb | head -1)" "$dir"
	done
	rm -rf "$dir"/usr/share/{doc,man,doc-base,lintian,locale,bug}
}

# Not optimised, which halves the work of building what is run a few times; and the compiler may use memory for time.
export GOGC=400
fast='-gcflags=all=-N -l'

# gobin MODULE MAINPKG QUERY [LDFLAGS, with %v for the version]: build a program, print its path. QUERY may be a
# version prefix ("v2.12"), so an image's tag selects the program's version.
gobin() {
	local mod=$1 pkg=$2 q=$3 v out src dir; set -- "$1" "$2" "$3" "${4:-}"
	v=$(cd "$ROOT" && GOWORK=off GOFLAGS=-mod=mod go list -m -f '{{.Version}}' "$mod@$q") ||
		die "no version $q of $mod"
	out=$ROOT/bin/$(tr / _ <<<"$pkg")@$v
	mkdir -p "$ROOT/bin" "$ROOT/src"
	# plain `go install` stamps the version in; it refuses modules with replace or
	# exclude directives (prometheus), which are built as the main module out of a copy
	if [ ! -x "$out" ] && (cd "$ROOT" && GOBIN=$ROOT/bin/tmp CGO_ENABLED=0 GOWORK=off GOFLAGS= go install \
		-trimpath -buildvcs=false "$fast" -ldflags "-s -w ${4//%v/$v}" "$pkg@$v") 2> "$ROOT/bin/log"; then
		mv "$ROOT/bin/tmp/"* "$out"
	elif [ ! -x "$out" ]; then
		grep -qE '(replace|exclude) directives' "$ROOT/bin/log" || { cat "$ROOT/bin/log" >&2; exit 1; }
		src=$ROOT/src/$(basename "$mod")
		dir=$(cd "$ROOT" && go mod download -json "$mod@$v" | jq -r .Dir)
		rm -rf "$src"; cp -r "$dir" "$src"; chmod -R u+w "$src"
		(cd "$src" && CGO_ENABLED=0 GOWORK=off GOFLAGS=-mod=mod go build -trimpath -buildvcs=false "$fast" \
			-ldflags "-s -w ${4//%v/$v}" -o "$out" "$pkg") >&2
		rm -rf "$src"
	fi
	echo "$out"
}

# tagver TAG: the version in an image tag as a Go module query
# (2.12-alpine -> v2.12, v3.5.0 -> v3.5.0, alpine|latest|"" -> latest)
tagver() {
	local v=${1#v}; v=${v%%-*}
	case $v in [0-9]*) echo "v$v" ;; *) echo latest ;; esac
}

# import DIR REF RECIPE CHANGE...: one-layer image out of a directory.
# `docker import` needs no builder and, unlike COPY, keeps file capabilities.
import() {
	local dir=$1 ref=$2 recipe=$3 c args=(); shift 3
	for c; do args+=(--change "$c"); done
	tar -C "$dir" --numeric-owner --xattrs --xattrs-include=security.capability -c . |
		docker import "${args[@]}" --change "LABEL $LABEL=$recipe" - "$ref" >/dev/null
}

# small DIR: root file system of an alpine-like image: busybox, CA bundle, zones
small() {
	local dir=$1 a
	mkdir -p "$dir"/{bin,sbin,usr/bin,usr/sbin,usr/local/bin,etc/ssl/certs,tmp,var/tmp,var/run,run,root,home,opt,mnt,srv,proc,sys,dev}
	chmod 1777 "$dir/tmp" "$dir/var/tmp"; chmod 700 "$dir/root"
	deb "$dir" busybox-static tzdata
	cabundle > "$dir/etc/ssl/certs/ca-certificates.crt"
	for a in $("$dir/bin/busybox" --list); do
		[ -e "$dir/bin/$a" ] || ln -s /bin/busybox "$dir/bin/$a"
	done
	echo 'hosts: files dns' > "$dir/etc/nsswitch.conf"
	printf '%s\n' 'root:x:0:0:root:/root:/bin/sh' 'nobody:x:65534:65534:nobody:/:/sbin/nologin' > "$dir/etc/passwd"
	printf '%s\n' 'root:x:0:' 'nobody:x:65534:' > "$dir/etc/group"
	printf 'ID=standin\nNAME="stand-in for alpine"\nVERSION_ID=0\n' > "$dir/etc/os-release"
	apkshim "$dir"
}

# what public images ship: Mozilla's certificates, without this machine's own
cabundle() {
	deb "$ROOT/ca" ca-certificates
	cat "$ROOT"/ca/usr/share/ca-certificates/mozilla/*.crt
}

# apk does nothing, but says so: a Dockerfile's `apk add` does not fail
apkshim() {
	printf '#!/bin/sh\necho "stand-in apk: nothing done: apk $*" >&2\n' > "$1/sbin/apk"
	chmod 755 "$1/sbin/apk"
}

newdir() { rm -rf --one-file-system "$ROOT/rootfs/$1"; mkdir -p "$ROOT/rootfs/$1"; echo "$ROOT/rootfs/$1"; }

# debian DIR PKGS [mmdebstrap options]: a Debian root file system with packages
debian() {
	local dir=$1 pkgs=$2; shift 2
	"$here/mmdebstrap.sh" --quiet --variant=minbase --format=directory --include="$pkgs" \
		--aptopt='APT::Install-Recommends "false"' \
		--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
		--dpkgopt='path-exclude=/usr/share/locale/*' "$@" "$SUITE" "$dir" >&2
	rm -rf "$dir"/dev/* "$dir"/var/cache/apt/*.bin "$dir"/var/lib/apt/lists/*
}

# --- recipes: r_NAME REF TAG -------------------------------------------------

r_nats() {
	local ref=$1 tag=$2 d b
	b=$(gobin github.com/nats-io/nats-server/v2 github.com/nats-io/nats-server/v2 "$(tagver "$tag")")
	d=$(newdir nats)
	natsconf() { cat <<-'EOF'
		# default configuration of the image
		port: 4222
		monitor_port: 8222
		cluster {
		  name: "my_cluster"
		  port: 6222
		  authorization { user: ruser, password: T0pS3cr3t, timeout: 2 }
		  routes = []
		}
		EOF
	}
	case $tag in
	*alpine*)
		small "$d"
		install -m 755 "$b" "$d/usr/local/bin/nats-server"
		mkdir -p "$d/etc/nats"; natsconf > "$d/etc/nats/nats-server.conf"
		cat > "$d/usr/local/bin/docker-entrypoint.sh" <<-'EOF'
			#!/bin/sh
			case "${1:--}" in -*) set -- nats-server "$@" ;; esac
			exec "$@"
			EOF
		chmod 755 "$d/usr/local/bin/docker-entrypoint.sh"
		import "$d" "$ref" nats 'EXPOSE 4222 8222 6222' 'ENTRYPOINT ["docker-entrypoint.sh"]' \
			'CMD ["nats-server","--config","/etc/nats/nats-server.conf"]' \
			'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' ;;
	*)      # the plain tag is built from scratch: no shell, no wget
		install -m 755 "$b" "$d/nats-server"; natsconf > "$d/nats-server.conf"
		import "$d" "$ref" nats 'EXPOSE 4222 8222 6222' 'ENTRYPOINT ["/nats-server"]' \
			'CMD ["--config","nats-server.conf"]' 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/' ;;
	esac
}

r_caddy() {
	local ref=$1 tag=$2 d b
	b=$(gobin github.com/caddyserver/caddy/v2 github.com/caddyserver/caddy/v2/cmd/caddy "$(tagver "$tag")" \
		"-X github.com/caddyserver/caddy/v2.CustomVersion=%v")
	d=$(newdir caddy); small "$d"
	mkdir -p "$d"/{config/caddy,data/caddy,etc/caddy,usr/share/caddy,srv}
	chmod 1777 "$d/config/caddy" "$d/data/caddy"
	printf ':80 {\n\troot * /usr/share/caddy\n\tfile_server\n}\n' > "$d/etc/caddy/Caddyfile"
	echo '<h1>Caddy works! (stand-in)</h1>' > "$d/usr/share/caddy/index.html"
	install -m 755 "$b" "$d/usr/bin/caddy"
	setcap cap_net_bind_service=+ep "$d/usr/bin/caddy"   # as the real image has it
	import "$d" "$ref" caddy 'ENV XDG_CONFIG_HOME=/config' 'ENV XDG_DATA_HOME=/data' \
		'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
		'EXPOSE 80 443 443/udp 2019' 'WORKDIR /srv' \
		'CMD ["caddy","run","--config","/etc/caddy/Caddyfile","--adapter","caddyfile"]'
}

# prometheus 3.N.P is module version 0.(300+N).P. No web UI assets: API only.
r_prometheus() {
	local ref=$1 tag=$2 d b v a
	v=$(tagver "$tag")
	case $v in v3.*) a=${v#v3.}; v=v0.$((300 + ${a%%.*})); case $a in *.*) v+=.${a#*.} ;; esac ;; v3) v=latest ;; esac
	b=$(gobin github.com/prometheus/prometheus github.com/prometheus/prometheus/cmd/prometheus "$v" \
		"-X github.com/prometheus/common/version.Version=${tag#v}")
	d=$(newdir prometheus); small "$d"
	mkdir -p "$d"/{etc/prometheus,prometheus}; chown 65534:65534 "$d"/{etc/prometheus,prometheus}
	printf 'global: {scrape_interval: 15s}\nscrape_configs:\n- job_name: prometheus\n  static_configs: [{targets: ["localhost:9090"]}]\n' > "$d/etc/prometheus/prometheus.yml"
	install -m 755 "$b" "$d/bin/prometheus"
	import "$d" "$ref" prometheus 'USER nobody' 'EXPOSE 9090' 'VOLUME /prometheus' 'WORKDIR /prometheus' \
		'ENTRYPOINT ["/bin/prometheus"]' \
		'CMD ["--config.file=/etc/prometheus/prometheus.yml","--storage.tsdb.path=/prometheus"]'
}

# grafana cannot be had from Go modules: a stub that is up, healthy and says so
r_grafana() {
	local d; d=$(newdir grafana); small "$d"
	mkdir -p "$d"/{srv/api,var/lib/grafana,etc/grafana}; chown 472:0 "$d/var/lib/grafana"
	echo '{"database":"ok","version":"stand-in"}' > "$d/srv/api/health"
	echo 'stand-in for grafana' > "$d/srv/index.html"
	import "$d" "$1" grafana 'USER 472' 'EXPOSE 3000' 'ENTRYPOINT ["/bin/busybox","httpd","-f","-v","-p","3000","-h","/srv"]'
}

# golang has Go and a shell, which is all that a build without cgo, git and further packages needs.
r_golang() {
	local ref=$1 tag=$2 d goroot gov p env=()
	goroot=$(cd "$ROOT" && go env GOROOT)
	gov=$(head -1 "$goroot/VERSION"); gov=${gov#go}
	case $tag in [0-9]*) p=${tag%%-*}; case "$gov." in "$p".*) ;; *) say "warning: $ref gets Go $gov" ;; esac ;; esac
	d=$(newdir golang)
	small "$d"
	[ -z "$HOST_CA" ] || cp "$HOST_CA" "$d/etc/ssl/certs/ca-certificates.crt"
	mkdir -p "$d"/go/{src,bin}; chmod -R 1777 "$d/go"
	mkdir -p "$d/usr/local/go"
	tar -C "$goroot" --exclude=./test --exclude=./api --exclude=./doc --exclude=./misc -c . | tar -C "$d/usr/local/go" --no-same-owner -x
	env=("ENV GOLANG_VERSION=$gov" 'ENV GOTOOLCHAIN=local' 'ENV GOPATH=/go'
		'ENV PATH=/go/bin:/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin')
	import "$d" "$ref" golang 'WORKDIR /go' "${env[@]}"
}

r_postgres() {
	local ref=$1 tag=$2 d v major uid=999 data=/var/lib/postgresql/data vol x
	v=$(apt-cache pkgnames postgresql- | sed -n 's/^postgresql-\([0-9]*\)$/\1/p' | sort -n | tail -1)
	[ -n "$v" ] || die "no postgresql package"
	major=${tag%%[!0-9]*}
	[ "${major:-$v}" = "$v" ] || say "warning: $ref gets PostgreSQL $v"
	case $tag in *alpine*) uid=70 ;; esac
	vol=$data
	if [ "${major:-0}" -ge 18 ]; then vol=/var/lib/postgresql data=/var/lib/postgresql/$major/docker; fi
	d=$(newdir postgres)
	debian "$d" "postgresql-$v,gosu,busybox-static,tzdata,locales,libnss-wrapper,xz-utils,zstd" \
		--dpkgopt='path-exclude=/usr/lib/*/libLLVM*' --dpkgopt='path-exclude=/usr/lib/postgresql/*/lib/llvmjit*' \
		--dpkgopt='path-exclude=/usr/lib/postgresql/*/lib/bitcode/*' \
		--essential-hook="mkdir -p \"\$1/etc/postgresql-common\"; echo create_main_cluster = false > \"\$1/etc/postgresql-common/createcluster.conf\"
			echo 'postgres:x:$uid:$uid::/var/lib/postgresql:/bin/sh' >> \"\$1/etc/passwd\"; echo 'postgres:x:$uid:' >> \"\$1/etc/group\"; echo 'postgres:!:::::::' >> \"\$1/etc/shadow\"" \
		--customize-hook='chroot "$1" localedef -i en_US -f UTF-8 en_US.UTF-8; rm -rf "$1/usr/share/i18n"'
	for x in wget nc vi ps free top; do
		[ -e "$d/usr/bin/$x" ] || [ -e "$d/bin/$x" ] || ln -s /bin/busybox "$d/usr/bin/$x"
	done
	[ ! -d "$d/var/lib/postgresql/$v" ] || rm -rf "$d/var/lib/postgresql/$v"
	sed -i -E "s/^#?(listen_addresses) *=.*/\1 = '*'/" "$d/usr/share/postgresql/$v/postgresql.conf.sample"
	mkdir -p "$d/docker-entrypoint-initdb.d" "$d$data" "$d/run/postgresql"
	chown -R "$uid:$uid" "$d/var/lib/postgresql" "$d/run/postgresql"
	chmod 1777 "$d/var/lib/postgresql" "$d$data"; chmod 3777 "$d/run/postgresql"
	postgres_entrypoint > "$d/usr/local/bin/docker-entrypoint.sh"; chmod 755 "$d/usr/local/bin/docker-entrypoint.sh"
	import "$d" "$ref" postgres "ENV PATH=/usr/lib/postgresql/$v/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" \
		'ENV LANG=en_US.utf8' "ENV PG_MAJOR=$v" "ENV PGDATA=$data" "VOLUME $vol" 'EXPOSE 5432' \
		'ENTRYPOINT ["docker-entrypoint.sh"]' 'CMD ["postgres"]'
	# the one setting that `docker import` does not know
	printf 'FROM %s\nSTOPSIGNAL SIGINT\n' "$ref" | docker build -q -t "$ref" - >/dev/null
}

# Same contract as the official image's: variables and their _FILE forms, the
# step down from root, a server on the socket only while the init files run
# (pg_isready without -h is already true then), the same messages and errors.
postgres_entrypoint() { cat <<'EOF'
#!/bin/bash
set -Eeo pipefail

from_file() { # VAR [DEFAULT]
	local var=$1 file=$1_FILE val=${2:-}
	if [ -n "${!var:-}" ] && [ -n "${!file:-}" ]; then
		echo "error: both $var and $file are set (but are exclusive)" >&2; exit 1
	fi
	if [ -n "${!var:-}" ]; then val=${!var}; elif [ -n "${!file:-}" ]; then val=$(cat "${!file}"); fi
	export "$var=$val"; unset "$file"
}

sql() {
	PGHOST= PGHOSTADDR= psql -v ON_ERROR_STOP=1 --no-psqlrc --no-password \
		--username "$POSTGRES_USER" --dbname "$POSTGRES_DB" "$@"
}
docker_process_sql() { sql "$@"; }

initialise() {
	if [ -z "$POSTGRES_PASSWORD" ] && [ "$POSTGRES_HOST_AUTH_METHOD" != trust ]; then
		echo 'Error: Database is uninitialized and superuser password is not specified.' >&2
		echo '       You must specify POSTGRES_PASSWORD to a non-empty value for the superuser.' >&2
		exit 1
	fi
	ls /docker-entrypoint-initdb.d/ >/dev/null
	local waldir=()
	[ -z "${POSTGRES_INITDB_WALDIR:-}" ] || waldir=(--waldir "$POSTGRES_INITDB_WALDIR")
	if ! getent passwd "$(id -u)" >/dev/null; then # --user with a number nobody has
		export NSS_WRAPPER_PASSWD NSS_WRAPPER_GROUP LD_PRELOAD=libnss_wrapper.so
		NSS_WRAPPER_PASSWD=$(LD_PRELOAD= mktemp) NSS_WRAPPER_GROUP=$(LD_PRELOAD= mktemp)
		echo "postgres:x:$(id -u):$(id -g)::$PGDATA:/bin/false" > "$NSS_WRAPPER_PASSWD"
		echo "postgres:x:$(id -g):" > "$NSS_WRAPPER_GROUP"
	fi
	eval 'initdb --username="$POSTGRES_USER" --pwfile=<(printf "%s\n" "$POSTGRES_PASSWORD") "${waldir[@]}" '"$POSTGRES_INITDB_ARGS"
	case ${LD_PRELOAD:-} in *nss_wrapper*)
		rm -f "$NSS_WRAPPER_PASSWD" "$NSS_WRAPPER_GROUP"; unset LD_PRELOAD NSS_WRAPPER_PASSWD NSS_WRAPPER_GROUP ;;
	esac
	printf '\nhost all all all %s\n' "${POSTGRES_HOST_AUTH_METHOD:-$(postgres -C password_encryption "${@:2}")}" >> "$PGDATA/pg_hba.conf"
	export PGPASSWORD=${PGPASSWORD:-$POSTGRES_PASSWORD}
	PGUSER=${PGUSER:-$POSTGRES_USER} NOTIFY_SOCKET= pg_ctl -D "$PGDATA" -w start \
		-o "$(printf '%q ' "${@:2}" -c listen_addresses= -p "${PGPORT:-5432}")"
	if [ -z "$(POSTGRES_DB=postgres sql -At --set db="$POSTGRES_DB" <<<"SELECT 1 FROM pg_database WHERE datname = :'db'")" ]; then
		POSTGRES_DB=postgres sql --set db="$POSTGRES_DB" <<<'CREATE DATABASE :"db"'
	fi
	local f
	for f in /docker-entrypoint-initdb.d/*; do
		case $f in
		*.sh) if [ -x "$f" ]; then echo "$0: running $f"; "$f"; else echo "$0: sourcing $f"; . "$f"; fi ;;
		*.sql) echo "$0: running $f"; sql -f "$f" ;;
		*.sql.gz) echo "$0: running $f"; gunzip -c "$f" | sql ;;
		*.sql.xz) echo "$0: running $f"; xzcat "$f" | sql ;;
		*.sql.zst) echo "$0: running $f"; zstd -dc "$f" | sql ;;
		*) echo "$0: ignoring $f" ;;
		esac
	done
	PGUSER=${PGUSER:-postgres} pg_ctl -D "$PGDATA" -m fast -w stop
	unset PGPASSWORD
	printf '\nPostgreSQL init process complete; ready for start up.\n\n'
}

case ${1:-} in -*) set -- postgres "$@" ;; esac
case " $* " in *' --help '*|*' --version '*|*' -V '*|*' -? '*|*' --describe-config '*) exec "$@" ;; esac
if [ "${1:-}" = postgres ]; then
	from_file POSTGRES_PASSWORD
	from_file POSTGRES_USER postgres
	from_file POSTGRES_DB "$POSTGRES_USER"
	from_file POSTGRES_INITDB_ARGS
	: "${POSTGRES_HOST_AUTH_METHOD:=}"
	mkdir -p "$PGDATA"; chmod 700 "$PGDATA" || :
	mkdir -p /var/run/postgresql || :; chmod 3775 /var/run/postgresql || :
	if [ -n "${POSTGRES_INITDB_WALDIR:-}" ]; then mkdir -p "$POSTGRES_INITDB_WALDIR"; chmod 700 "$POSTGRES_INITDB_WALDIR"; fi
	if [ "$(id -u)" = 0 ]; then
		find "$PGDATA" /var/run/postgresql ${POSTGRES_INITDB_WALDIR:+"$POSTGRES_INITDB_WALDIR"} \! -user postgres -exec chown postgres '{}' +
		exec gosu postgres "$0" "$@"
	fi
	if [ -s "$PGDATA/PG_VERSION" ]; then
		printf '\nPostgreSQL Database directory appears to contain a database; Skipping initialization\n\n'
	else
		initialise "$@"
	fi
fi
exec "$@"
EOF
}

# build REF: by the recipe that its name, whatever registry stands before it, calls for
build() {
	local ref=$1 name=$1 tag=latest t=$SECONDS
	if docker image inspect "$ref" >/dev/null 2>&1; then return; fi
	case ${ref##*/} in *:*) name=${ref%:*} tag=${ref##*:} ;; esac
	case ${name##*/} in
	postgres|nats|caddy|prometheus|golang|grafana) name=${name##*/} ;;
	*) die "no stand-in for $ref" ;;
	esac
	"r_$name" "$ref" "$tag"
	say "$ref: $((SECONDS - t)) s, $(($(docker image inspect -f '{{.Size}}' "$ref") / 1000000)) MB"
}

for image; do build "$image" </dev/null; done
rm -rf --one-file-system "$ROOT/rootfs"
