#!/usr/bin/env bash
# cluster.sh - a real single-node Kubernetes cluster from apt packages and the Go module proxy only.
#
#   cluster.sh build [core|all]   build the binaries (core: etcd, kube-apiserver, kubectl)
#   cluster.sh up                 build what is missing, start the cluster, wait until it is Ready
#   cluster.sh status             what runs, memory, nodes, pods
#   cluster.sh load IMAGE.tar...  import image archives (docker save / OCI) into the node
#   cluster.sh kubectl ARGS...    kubectl as cluster admin
#   cluster.sh ctr ARGS...        ctr on the node (namespace k8s.io)
#   cluster.sh node CMD...        a command inside the node's namespaces
#   cluster.sh validate DIR       validates manifests against a throw-away apiserver+etcd (no node needed)
#   cluster.sh down               stop everything and wipe the state (keeps $ROOT/bin, $ROOT/src, $ROOT/images)
#
# The "node" is a set of namespaces (mount, net, pid, ipc, uts) made with unshare(1): every daemon, pod,
# mount, iptables rule and interface lives in there and is gone when its PID 1 is killed. The only things
# seen from outside are the veth $HOST_IF (with routes to the pod and Service networks) and the cgroups
# /$CGROUP, both removed by `down`. Needs root. cgroup v1 or v2.
set -euo pipefail

ROOT=$(realpath -m "${ROOT:-$HOME/.cache/gensyn-monitor/kubernetes}")
K8S_VERSION=${K8S_VERSION:-v1.34.3}
ETCD_VERSION=${ETCD_VERSION:-v3.6.5}
COREDNS_VERSION=${COREDNS_VERSION:-v1.14.3}
NODE_NAME=${NODE_NAME:-k8slab}
HOST_IF=${HOST_IF:-k8slab0}
HOST_IP=${HOST_IP:-10.243.0.1}
NODE_IP=${NODE_IP:-10.243.0.2}
POD_CIDR=${POD_CIDR:-10.244.0.0/24}          # a /24: kcm hands it to the one node whole
SERVICE_CIDR=${SERVICE_CIDR:-10.96.0.0/16}
API_SVC_IP=${API_SVC_IP:-10.96.0.1}
DNS_IP=${DNS_IP:-10.96.0.10}
PROXY_MODE=${PROXY_MODE:-iptables}           # or nftables
NETPOL=${NETPOL:-1}                          # 1: enforce NetworkPolicy with the small agent below
PV_MODE=${PV_MODE:-0755}                     # mode of a new volume's root (0755 root: needs fsGroup, as on a cloud disk)
CGROUP=${CGROUP:-k8slab}
CNI_BIN=${CNI_BIN:-/usr/lib/cni}
INSTALL=${INSTALL:-1}                        # 0: never call apt-get
KEEP_STATE=${KEEP_STATE:-0}                  # 1: down leaves logs and state for a look (next up wipes them)
PAUSE_IMAGE=registry.k8s.io/pause:3.10

BIN=$ROOT/bin SRC=$ROOT/src IMG=$ROOT/images ST=$ROOT/state
LOG=$ST/log PKI=$ST/pki KC=$ST/kubeconfig RUN=$ST/run
SELF=$(readlink -f "${BASH_SOURCE[0]}")
export CGO_ENABLED=0 GOFLAGS="${GOFLAGS:-} -buildvcs=false"
unset KUBECONFIG || true

say()  { printf '[%s] %s\n' "$(date +%T)" "$*" >&2; }
die()  { say "ERROR: $*"; exit 1; }
need_root() { [ "$(id -u)" = 0 ] || die "needs root"; }
[ ${#ROOT} -le 60 ] || die "ROOT is too long for the unix sockets below it: $ROOT"

# ---------------------------------------------------------------- packages
ensure_pkgs() { # ensure_pkgs BINARY:PACKAGE...
  local want=() p b
  for p in "$@"; do b=${p%%:*}; command -v "$b" >/dev/null 2>&1 || [ -x "$b" ] || want+=("${p##*:}"); done
  [ ${#want[@]} = 0 ] && return 0
  [ "$INSTALL" = 1 ] || die "missing packages: ${want[*]} (INSTALL=0)"
  say "apt-get install ${want[*]}"
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${want[@]}" >/dev/null 2>&1 ||
    { apt-get update -qq >/dev/null && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${want[@]}" >/dev/null; } ||
    die "apt-get install ${want[*]} failed"
}
pkgs_core() { ensure_pkgs openssl:openssl unshare:util-linux nsenter:util-linux ip:iproute2 jq:jq; }
pkgs_node() { pkgs_core; ensure_pkgs containerd:containerd runc:runc iptables:iptables nft:nftables conntrack:conntrack mount:mount "$CNI_BIN/bridge:containernetworking-plugins"; }

# ---------------------------------------------------------------- build
k8s_module() {
  local d=$SRC/k8s gm mods m sv
  mkdir -p "$d/labnode"; write_labnode > "$d/labnode/main.go"      # before `go mod tidy`, which reads its imports
  [ "$(cat "$d/.version" 2>/dev/null)" = "$K8S_VERSION" ] && return 0
  gm=$(cd "$d" && printf 'module x\n' > go.mod && go mod download -json "k8s.io/kubernetes@$K8S_VERSION" | sed -n 's/^.*"GoMod": "\(.*\)".*$/\1/p')
  [ -f "$gm" ] || die "k8s.io/kubernetes@$K8S_VERSION is not to be had from the module proxy"
  sv=v0.${K8S_VERSION#v1.}                                   # v1.34.3 -> v0.34.3
  mods=$(grep -oE 'k8s\.io/[a-z0-9-]+ v0\.0\.0$' "$gm" | cut -d' ' -f1 | sort -u)
  { echo "module k8slab"; echo; grep -E '^go ' "$gm"; echo; echo "require k8s.io/kubernetes $K8S_VERSION"; echo; echo "replace ("
    for m in $mods; do echo "	$m => $m $sv"; done; echo ")"; } > "$d/go.mod"
  { echo "//go:build tools"; echo; echo "package tools"; echo; echo "import ("
    for m in kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl; do echo "	_ \"k8s.io/kubernetes/cmd/$m\""; done; echo ")"; } > "$d/tools.go"
  (cd "$d" && go mod tidy 2>"$d/tidy.log") || { tail -5 "$d/tidy.log" >&2; die "go mod tidy (kubernetes)"; }
  echo "$K8S_VERSION" > "$d/.version"
}
build_k8s() { # build_k8s COMPONENT...
  local c todo=() x sv=${K8S_VERSION#v} maj min
  for c in "$@"; do [ -x "$BIN/$c" ] && [ "$(cat "$BIN/.$c.v" 2>/dev/null)" = "$K8S_VERSION" ] || todo+=("$c"); done
  [ ${#todo[@]} = 0 ] && return 0
  k8s_module
  maj=${sv%%.*}; min=${sv#*.}; min=${min%%.*}
  x="-s -w"
  for c in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    x+=" -X $c.gitVersion=$K8S_VERSION -X $c.gitMajor=$maj -X $c.gitMinor=$min -X $c.gitTreeState=clean -X $c.gitCommit=0000000000000000000000000000000000000000 -X $c.buildDate=1970-01-01T00:00:00Z"
  done
  say "building ${todo[*]} ($K8S_VERSION)"
  (cd "$SRC/k8s" && go build -ldflags "$x" -o "$BIN/" "${todo[@]/#/k8s.io/kubernetes/cmd/}") || die "go build kubernetes"
  for c in "${todo[@]}"; do echo "$K8S_VERSION" > "$BIN/.$c.v"; done
}
stale() { # stale BINARY DIR: true (and the stamp is renewed by the caller) when main.go is not what BINARY was made of
  [ -x "$BIN/$1" ] && [ "$(cat "$BIN/.$1.v" 2>/dev/null)" = "$(sha256sum < "$2/main.go")" ] && return 1; return 0
}
build_labnode() {
  local d=$SRC/k8s/labnode; mkdir -p "$d"; write_labnode > "$d/main.go"; stale labnode "$d" || return 0
  k8s_module; say "building labnode"
  (cd "$SRC/k8s" && go build -ldflags '-s -w' -o "$BIN/labnode" ./labnode) || die "go build labnode"
  sha256sum < "$d/main.go" > "$BIN/.labnode.v"
}
build_etcd() {
  [ -x "$BIN/etcd" ] && [ "$(cat "$BIN/.etcd.v" 2>/dev/null)" = "$ETCD_VERSION" ] && return 0
  local d=$SRC/etcd; mkdir -p "$d"; say "building etcd $ETCD_VERSION"
  printf 'module etcdlab\n\ngo 1.24\n\nrequire go.etcd.io/etcd/server/v3 %s\n' "$ETCD_VERSION" > "$d/go.mod"
  printf 'package main\n\nimport (\n\t"os"\n\n\t"go.etcd.io/etcd/server/v3/etcdmain"\n)\n\nfunc main() { etcdmain.Main(os.Args) }\n' > "$d/main.go"
  (cd "$d" && go mod tidy >tidy.log 2>&1 && go build -ldflags '-s -w' -o "$BIN/etcd" .) || { tail -5 "$d/tidy.log" >&2; die "go build etcd"; }
  echo "$ETCD_VERSION" > "$BIN/.etcd.v"
}
build_coredns() { # only the plugins that the Corefile below names: a tenth of the full build
  [ -x "$BIN/coredns" ] && [ "$(cat "$BIN/.coredns.v" 2>/dev/null)" = "$COREDNS_VERSION" ] && return 0
  local d=$SRC/coredns p; mkdir -p "$d"; say "building coredns $COREDNS_VERSION"
  printf 'module corednslab\n\ngo 1.24\n\nrequire github.com/coredns/coredns %s\n' "$COREDNS_VERSION" > "$d/go.mod"
  { echo 'package main'; echo; echo 'import ('; echo '	"github.com/coredns/coredns/coremain"'
    for p in cache errors forward health hosts kubernetes loadbalance log metrics ready reload template; do echo "	_ \"github.com/coredns/coredns/plugin/$p\""; done
    echo ')'; echo; echo 'func main() { coremain.Run() }'; } > "$d/main.go"
  (cd "$d" && go mod tidy >tidy.log 2>&1 && go build -ldflags '-s -w' -o "$BIN/coredns" .) || { tail -5 "$d/tidy.log" >&2; die "go build coredns"; }
  echo "$COREDNS_VERSION" > "$BIN/.coredns.v"
}
build_small() { # pause and the visitor: standard library only
  local n d
  for n in pause visitor; do
    d=$SRC/$n; mkdir -p "$d"; printf 'module %s\n\ngo 1.21\n' $n > "$d/go.mod"; write_$n > "$d/main.go"; stale $n "$d" || continue
    (cd "$d" && go build -ldflags '-s -w' -o "$BIN/$n" .) || die "go build $n"; sha256sum < "$d/main.go" > "$BIN/.$n.v"
  done
}
mkimage() { # mkimage NAME:TAG OUT.tar BINARY USER: a one-layer docker archive, no docker needed
  local name=$1 out=$2 bin=$3 user=$4 t h c arch
  t=$(mktemp -d); mkdir -p "$t/r/tmp" "$t/a"; chmod 0755 "$t/r"; chmod 1777 "$t/r/tmp"; cp "$bin" "$t/r/"; mkdir -p "$t/r/etc"
  echo "nobody:x:65534:65534::/:/" > "$t/r/etc/passwd"
  tar -C "$t/r" --owner=0 --group=0 --numeric-owner --sort=name --mtime=@0 -cf "$t/a/layer.tar" .
  h=$(sha256sum "$t/a/layer.tar" | cut -d' ' -f1); arch=$(go env GOARCH)
  printf '{"architecture":"%s","os":"linux","created":"1970-01-01T00:00:00Z","config":{"Entrypoint":["/%s"],"User":"%s","WorkingDir":"/"},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' "$arch" "$(basename "$bin")" "$user" "$h" > "$t/a/config.json"
  c=$(sha256sum "$t/a/config.json" | cut -d' ' -f1); mv "$t/a/config.json" "$t/a/$c.json"
  printf '[{"Config":"%s.json","RepoTags":["%s"],"Layers":["layer.tar"]}]' "$c" "$name" > "$t/a/manifest.json"
  tar -C "$t/a" -cf "$out" .; rm -rf "$t"
}
build_images() {
  mkdir -p "$IMG"
  [ "$IMG/pause.tar" -nt "$BIN/pause" ] && [ "$IMG/coredns.tar" -nt "$BIN/coredns" ] && [ "$IMG/visitor.tar" -nt "$BIN/visitor" ] && return 0
  mkimage "$PAUSE_IMAGE" "$IMG/pause.tar" "$BIN/pause" 65535:65535
  mkimage "registry.k8s.io/coredns/coredns:$COREDNS_VERSION" "$IMG/coredns.tar" "$BIN/coredns" 65534:65534
  mkimage k8slab.local/visitor:v1 "$IMG/visitor.tar" "$BIN/visitor" 65534:65534
}
build() { # core | all
  command -v go >/dev/null || die "go is not on PATH"
  mkdir -p "$BIN" "$SRC"
  build_etcd; build_k8s kube-apiserver kubectl
  [ "${1:-all}" = core ] && return 0
  build_k8s kube-controller-manager kube-scheduler kubelet kube-proxy
  build_labnode; build_coredns; build_small; build_images
}

# ---------------------------------------------------------------- certificates and kubeconfigs
cert() { # cert NAME "/O=..../CN=..." [SAN]
  local n=$1 subj=$2 san=${3:-}
  openssl ecparam -name prime256v1 -genkey -noout -out "$PKI/$n.key" 2>/dev/null
  openssl req -new -key "$PKI/$n.key" -subj "$subj" -out "$PKI/$n.csr" 2>/dev/null
  { echo "keyUsage=critical,digitalSignature,keyEncipherment"; echo "extendedKeyUsage=serverAuth,clientAuth"; [ -n "$san" ] && echo "subjectAltName=$san"; true; } > "$PKI/$n.ext"
  openssl x509 -req -in "$PKI/$n.csr" -CA "$PKI/ca.crt" -CAkey "$PKI/ca.key" -CAcreateserial -days 30 -extfile "$PKI/$n.ext" -out "$PKI/$n.crt" 2>/dev/null
}
kubeconfig() { # kubeconfig FILE CERTNAME
  local b="base64 -w0"
  cat > "$KC/$1" <<E
apiVersion: v1
kind: Config
clusters: [{name: k8slab, cluster: {server: "https://$NODE_IP:6443", certificate-authority-data: "$($b "$PKI/ca.crt")"}}]
users: [{name: $2, user: {client-certificate-data: "$($b "$PKI/$2.crt")", client-key-data: "$($b "$PKI/$2.key")"}}]
contexts: [{name: k8slab, context: {cluster: k8slab, user: $2}}]
current-context: k8slab
E
}
pki() {
  mkdir -p "$PKI" "$KC"; chmod 700 "$PKI" "$KC"
  openssl ecparam -name prime256v1 -genkey -noout -out "$PKI/ca.key" 2>/dev/null
  openssl req -x509 -new -key "$PKI/ca.key" -subj /CN=k8slab-ca -days 30 -out "$PKI/ca.crt" -addext keyUsage=critical,keyCertSign,digitalSignature 2>/dev/null
  openssl genrsa -out "$PKI/sa.key" 2048 2>/dev/null; openssl rsa -in "$PKI/sa.key" -pubout -out "$PKI/sa.pub" 2>/dev/null
  cert apiserver /CN=kube-apiserver "IP:127.0.0.1,IP:$NODE_IP,IP:$API_SVC_IP,DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local"
  cert apiserver-kubelet /O=system:masters/CN=kube-apiserver-kubelet-client
  cert admin /O=system:masters/CN=admin;                                   kubeconfig admin admin
  [ "${1:-all}" = core ] && return 0
  cert kcm /CN=system:kube-controller-manager;                             kubeconfig kcm kcm
  cert scheduler /CN=system:kube-scheduler;                                kubeconfig scheduler scheduler
  cert proxy /CN=system:kube-proxy;                                        kubeconfig proxy proxy
  cert kubelet "/O=system:nodes/CN=system:node:$NODE_NAME" "IP:$NODE_IP,IP:127.0.0.1,DNS:$NODE_NAME"; kubeconfig kubelet kubelet
}

# ---------------------------------------------------------------- configuration files
config() {
  mkdir -p "$ST"/{etcd,etc,kubelet,containerd,run,pv,cni/net.d,cni/ipam,varlog,log}
  : > "$ST/etc/resolv.conf"
  printf '127.0.0.1 localhost\n%s %s\n' "$NODE_IP" "$NODE_NAME" > "$ST/etc/hosts"
  cat > "$ST/etc/containerd.toml" <<E
version = 2
root = "$ST/containerd"
state = "$RUN/containerd"
[grpc]
  address = "$RUN/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "$PAUSE_IMAGE"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "$CNI_BIN"
    conf_dir = "$ST/cni/net.d"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
        BinaryName = "$(command -v runc)"
E
  cat > "$ST/cni/net.d/10-k8slab.conflist" <<E
{"cniVersion": "0.4.0", "name": "k8slab", "plugins": [
 {"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": false, "hairpinMode": true,
  "ipam": {"type": "host-local", "dataDir": "$ST/cni/ipam", "ranges": [[{"subnet": "$POD_CIDR"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
 {"type": "portmap", "capabilities": {"portMappings": true}}]}
E
  cat > "$ST/etc/kubelet.yaml" <<E
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $PKI/ca.crt}}
authorization: {mode: Webhook}
address: 0.0.0.0
tlsCertFile: $PKI/kubelet.crt
tlsPrivateKeyFile: $PKI/kubelet.key
containerRuntimeEndpoint: unix://$RUN/containerd.sock
cgroupDriver: cgroupfs
cgroupRoot: /$CGROUP
failCgroupV1: false
failSwapOn: false
oomScoreAdj: 0
clusterDNS: [$DNS_IP]
clusterDomain: cluster.local
resolvConf: $ST/etc/resolv.conf
registerNode: true
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
evictionHard: {memory.available: 100Mi, nodefs.available: 1%, imagefs.available: 1%, nodefs.inodesFree: 1%}
serializeImagePulls: true
volumePluginDir: $ST/kubelet/volumeplugins
E
  cat > "$ST/etc/proxy.yaml" <<E
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clientConnection: {kubeconfig: $KC/proxy}
mode: $PROXY_MODE
hostnameOverride: $NODE_NAME
clusterCIDR: $POD_CIDR
detectLocalMode: ClusterCIDR
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
bindAddress: 0.0.0.0
E
}
APISERVER_ARGS() { # shared by the cluster and by validate
  printf '%s\n' --etcd-servers=http://127.0.0.1:2379 --secure-port=6443 --bind-address=0.0.0.0 --advertise-address="$NODE_IP" \
    --client-ca-file="$PKI/ca.crt" --tls-cert-file="$PKI/apiserver.crt" --tls-private-key-file="$PKI/apiserver.key" \
    --kubelet-client-certificate="$PKI/apiserver-kubelet.crt" --kubelet-client-key="$PKI/apiserver-kubelet.key" --kubelet-certificate-authority="$PKI/ca.crt" \
    --kubelet-preferred-address-types=InternalIP \
    --service-account-issuer=https://kubernetes.default.svc.cluster.local --service-account-key-file="$PKI/sa.pub" --service-account-signing-key-file="$PKI/sa.key" \
    --service-cluster-ip-range="$SERVICE_CIDR" --authorization-mode=Node,RBAC --allow-privileged=true --enable-admission-plugins=NodeRestriction \
    --watch-cache=true --profiling=false
}
ETCD_ARGS() {
  printf '%s\n' --data-dir="$1" --listen-client-urls=http://127.0.0.1:2379 --advertise-client-urls=http://127.0.0.1:2379 \
    --listen-peer-urls=http://127.0.0.1:2380 --initial-advertise-peer-urls=http://127.0.0.1:2380 --initial-cluster=default=http://127.0.0.1:2380 \
    --unsafe-no-fsync --log-level=warn
}

# ---------------------------------------------------------------- the node: PID 1 of the namespaces
node_init() {
  local args
  mount --make-rslave / && mount --make-rshared /
  mount -t proc proc /proc
  # kubelet wants these values and would write them for the whole machine: show it files of its own instead
  mkdir -p "$ST/sysctl"
  local k v
  while read -r k v; do [ -e "/proc/sys/$k" ] || continue; echo "$v" > "$ST/sysctl/${k//\//_}"; mount --bind "$ST/sysctl/${k//\//_}" "/proc/sys/$k"; done <<E
vm/overcommit_memory 1
vm/panic_on_oom 0
kernel/panic 10
kernel/panic_on_oops 1
kernel/keys/root_maxkeys 1000000
kernel/keys/root_maxbytes 25000000
E
  mount --bind "$ST/etc/hosts" /etc/hosts
  [ -L /etc/resolv.conf ] || mount --bind "$ST/etc/resolv.conf" /etc/resolv.conf     # a link into /run is covered below
  mount -t tmpfs tmpfs /run; mkdir -p /run/netns /run/lock
  mount --bind "$ST/varlog" /var/log
  for k in cni kubelet; do mkdir -p "$ST/varlib/$k"; mount --bind "$ST/varlib/$k" "/var/lib/$k"; done   # what CNI and kubelet write there whatever their flags say
  hostname "$NODE_NAME"
  ip link set lo up
  until ip link show eth0 >/dev/null 2>&1; do sleep 0.05; done
  ip addr add "$NODE_IP/30" dev eth0; ip link set eth0 up; ip route add default via "$HOST_IP"
  echo 1 > /proc/sys/net/ipv4/ip_forward
  [ -e /proc/sys/net/bridge/bridge-nf-call-iptables ] && echo 1 > /proc/sys/net/bridge/bridge-nf-call-iptables
  export PATH=$BIN:$PATH
  cd "$ST"
  run() { local n=$1; shift; ("$@" >>"$LOG/$n.log" 2>&1; echo "exit $? $(date +%T)" >> "$LOG/$n.exit") & }
  run containerd containerd --config "$ST/etc/containerd.toml" --log-level warn
  mapfile -t args < <(ETCD_ARGS "$ST/etcd"); run etcd etcd "${args[@]}"
  mapfile -t args < <(APISERVER_ARGS);       run kube-apiserver kube-apiserver "${args[@]}"
  until kubectl --kubeconfig "$KC/admin" get --raw /readyz >/dev/null 2>&1; do sleep 0.3; done
  run kube-controller-manager kube-controller-manager --kubeconfig="$KC/kcm" --leader-elect=false --bind-address=127.0.0.1 \
    --service-account-private-key-file="$PKI/sa.key" --root-ca-file="$PKI/ca.crt" --use-service-account-credentials=true \
    --cluster-signing-cert-file="$PKI/ca.crt" --cluster-signing-key-file="$PKI/ca.key" \
    --allocate-node-cidrs=true --cluster-cidr="$POD_CIDR" --node-cidr-mask-size=24 --service-cluster-ip-range="$SERVICE_CIDR"
  run kube-scheduler kube-scheduler --kubeconfig="$KC/scheduler" --leader-elect=false --bind-address=127.0.0.1
  run kubelet kubelet --config="$ST/etc/kubelet.yaml" --kubeconfig="$KC/kubelet" --hostname-override="$NODE_NAME" --node-ip="$NODE_IP" --root-dir="$ST/kubelet" \
    --node-labels=topology.kubernetes.io/region=lab,topology.kubernetes.io/zone=lab-a
  run kube-proxy kube-proxy --config="$ST/etc/proxy.yaml"
  run labnode labnode -kubeconfig "$KC/admin" -node "$NODE_NAME" -pv "$ST/pv" -mode "$PV_MODE" -netpol="$([ "$NETPOL" = 1 ] && echo true || echo false)"
  trap 'exit 0' TERM INT
  while :; do sleep 3600 & wait $! || true; done
}

# ---------------------------------------------------------------- up / down
init_pid() { # the namespaces' PID 1 as this machine sees it
  local p; p=$(cat "$ST/init.pid" 2>/dev/null) || return 1
  [ -n "$p" ] && [ -d "/proc/$p" ] && grep -qz "__node_init" "/proc/$p/cmdline" && echo "$p"
}
innode() { local p; p=$(init_pid) || die "the cluster is not up"; nsenter -t "$p" -m -n -p -i -u -- env PATH="$BIN:$PATH" "$@"; }
k() { "$BIN/kubectl" --kubeconfig "$KC/admin" "$@"; }
cgroups_make() {
  local m
  if [ "$(stat -fc %T /sys/fs/cgroup)" = cgroup2fs ]; then mkdir -p "/sys/fs/cgroup/$CGROUP"
    for m in cpu cpuset memory pids io hugetlb; do grep -qw $m /sys/fs/cgroup/cgroup.controllers && { echo "+$m" > /sys/fs/cgroup/cgroup.subtree_control; echo "+$m" > "/sys/fs/cgroup/$CGROUP/cgroup.subtree_control"; } 2>/dev/null || true; done
  else
    for m in /sys/fs/cgroup/*/; do [ -e "$m/cgroup.procs" ] && mkdir -p "$m/$CGROUP" || true
      [ -e "$m/$CGROUP/cpuset.cpus" ] && { cat "$m/cpuset.cpus" > "$m/$CGROUP/cpuset.cpus"; cat "$m/cpuset.mems" > "$m/$CGROUP/cpuset.mems"; } || true; done
  fi
}
cgroups_rm() {
  local i
  for i in 1 2 3 4 5; do
    find /sys/fs/cgroup -depth -type d -path "*/$CGROUP*" \( -path "/sys/fs/cgroup/$CGROUP*" -o -path "/sys/fs/cgroup/*/$CGROUP*" \) -exec rmdir {} + 2>/dev/null || true
    find /sys/fs/cgroup -maxdepth 2 -type d -name "$CGROUP" | grep -q . || return 0; sleep 0.3
  done
  say "left over cgroups under $CGROUP"
}
up() {
  need_root
  if init_pid >/dev/null; then say "already up"; status; return 0; fi
  pkgs_node; build all
  down_quiet; rm -rf "$ST"; mkdir -p "$ST"
  local t0=$SECONDS p i
  pki; config; cgroups_make
  mkdir -p /var/lib/cni /var/lib/kubelet                     # mount points, nothing is written to them
  ROOT=$ROOT setsid unshare --mount --net --pid --ipc --uts --fork --kill-child --propagation unchanged -- \
    env $(exported) bash "$SELF" __node_init </dev/null >"$LOG/node.log" 2>&1 &
  local up=$!; echo "$up" > "$ST/unshare.pid"; disown
  for i in $(seq 100); do p=$(cat /proc/$up/task/*/children 2>/dev/null | awk '{print $1}'); [ -n "$p" ] && grep -qz __node_init "/proc/$p/cmdline" 2>/dev/null && break; sleep 0.05; done
  [ -n "${p:-}" ] || die "the node did not start: $(tail -3 "$LOG/node.log")"
  echo "$p" > "$ST/init.pid"
  ip link del "$HOST_IF" 2>/dev/null || true
  ip link add "$HOST_IF" type veth peer name eth0 netns "$p"
  ip addr add "$HOST_IP/30" dev "$HOST_IF"; ip link set "$HOST_IF" up
  ip route add "$POD_CIDR" via "$NODE_IP"; ip route add "$SERVICE_CIDR" via "$NODE_IP"
  wait_for 60 "apiserver" k get --raw /readyz
  say "apiserver ready after $((SECONDS-t0)) s"
  wait_for 30 "containerd" test -S "$RUN/containerd.sock"
  for i in "$IMG"/*.tar; do load "$i"; done
  wait_for 30 "default namespace" k get ns default
  manifests | k apply -f - >/dev/null
  wait_for 90 "node object" k get node "$NODE_NAME"
  k wait --for=condition=Ready "node/$NODE_NAME" --timeout=120s >/dev/null || die "node not Ready; see $LOG"
  say "node Ready after $((SECONDS-t0)) s"
  k -n kube-system rollout status deploy/coredns --timeout=120s >/dev/null || die "coredns not Ready; see $LOG"
  say "cluster up after $((SECONDS-t0)) s; KUBECONFIG=$KC/admin"
}
exported() { local v; for v in ROOT K8S_VERSION ETCD_VERSION COREDNS_VERSION NODE_NAME HOST_IF HOST_IP NODE_IP POD_CIDR SERVICE_CIDR API_SVC_IP DNS_IP PROXY_MODE NETPOL PV_MODE CGROUP CNI_BIN; do printf '%s=%s ' $v "${!v}"; done; }
wait_for() { local n=$1 what=$2 i; shift 2; for i in $(seq $((n*4))); do "$@" >/dev/null 2>&1 && return 0; init_pid >/dev/null || die "the node died while waiting for $what: $(tail -3 "$LOG/node.log")"; sleep 0.25; done; die "no $what after $n s; see $LOG"; }
load() {
  local f; for f in "$@"; do f=$(readlink -f "$f"); [ -f "$f" ] || die "no such file: $f"
    innode ctr -a "$RUN/containerd.sock" -n k8s.io images import "$f" >/dev/null || die "import $f"; done
}
down_quiet() {
  local p i
  if p=$(init_pid); then kill -KILL "$p" 2>/dev/null || true; for i in $(seq 100); do [ -d "/proc/$p" ] || break; sleep 0.1; done; fi
  ip link del "$HOST_IF" 2>/dev/null || true
  rmdir /var/lib/cni /var/lib/kubelet 2>/dev/null || true    # stay where something else uses them
  cgroups_rm
}
down() {
  need_root; down_quiet
  if [ "$KEEP_STATE" != 1 ]; then
    if grep -q " $ST/" /proc/self/mountinfo; then die "mounts left under $ST, not removing it"; fi
    rm -rf "$ST" "$ROOT/validate"
  fi
  say "down"
}
status() {
  local p; if ! p=$(init_pid); then echo "down"; return 1; fi
  echo "up: node PID 1 is $p, KUBECONFIG=$KC/admin, API https://$NODE_IP:6443 (host side $HOST_IF $HOST_IP)"
  local ns; ns=$(readlink "/proc/$p/ns/pid"); local q sum=0 r n
  for q in /proc/[0-9]*; do [ "$(readlink "$q/ns/pid" 2>/dev/null)" = "$ns" ] || continue
    r=$(awk '/^VmRSS/{print int($2/1024)}' "$q/status" 2>/dev/null); n=$(cat "$q/comm" 2>/dev/null); [ -n "$r" ] && echo "$r $n"; done |
    awk '{a[$2]+=$1; s+=$1} END{for(i in a) if(a[i]>4) printf "  %5d MiB  %s\n",a[i],i | "sort -rn"; close("sort -rn"); printf "  %5d MiB  all of the node (RSS, with pods)\n",s}'
  ls "$LOG"/*.exit >/dev/null 2>&1 && { echo "components that exited:"; tail -n1 "$LOG"/*.exit; }
  k get nodes -o wide; k get pods -A -o wide
}

# ---------------------------------------------------------------- validate: apiserver + etcd only
render() { # one YAML stream of DIR
  if [ -e "$1/kustomization.yaml" ] || [ -e "$1/kustomization.yml" ] || [ -e "$1/Kustomization" ]; then "$BIN/kubectl" kustomize "$1"
  elif [ -f "$1" ]; then cat "$1"; else local f; for f in "$1"/*.yaml "$1"/*.yml "$1"/*.json; do [ -e "$f" ] && { cat "$f"; printf '\n---\n'; }; done; true; fi
}
validate() {
  need_root; [ -e "${1:-}" ] || die "usage: validate DIR"
  pkgs_core; build core
  local dir; dir=$(readlink -f "$1")
  render "$dir" > /dev/null || die "kustomize build of $dir failed"
  # its own namespaces: no port is taken on this machine, and nothing outlives the command
  ST=$ROOT/validate; rm -rf "$ST"; mkdir -p "$ST"
  ROOT=$ROOT unshare --mount --net --pid --fork --kill-child -- env $(exported) bash "$SELF" __validate "$dir"
}
validate_inner() {
  local dir=$1 t0=$EPOCHREALTIME args rc=0 V=$ROOT/validate
  ST=$V LOG=$V/log PKI=$V/pki KC=$V/kubeconfig; mkdir -p "$V/log" "$V/etcd"
  mount -t proc proc /proc; ip link set lo up; ip addr add "$NODE_IP/32" dev lo
  pki core
  mapfile -t args < <(ETCD_ARGS "$V/etcd"); "$BIN/etcd" "${args[@]}" >"$LOG/etcd.log" 2>&1 &
  mapfile -t args < <(APISERVER_ARGS)
  # no controllers here: nothing would make the default ServiceAccounts or the endpoints
  "$BIN/kube-apiserver" "${args[@]}" --disable-admission-plugins=ServiceAccount --endpoint-reconciler-type=none >"$LOG/kube-apiserver.log" 2>&1 &
  local i ok=0; for i in $(seq 240); do k get --raw /readyz >/dev/null 2>&1 && k get ns default >/dev/null 2>&1 && { ok=1; break; }; sleep 0.25; done
  [ $ok = 1 ] || { tail -5 "$LOG/kube-apiserver.log" >&2; die "apiserver did not start"; }
  local t1=$EPOCHREALTIME
  render "$dir" > "$V/all.yaml"
  k create --dry-run=client -o json -f "$V/all.yaml" > "$V/all.json" 2>"$V/parse.err" || true      # splits the stream; unknown kinds (CRs) fail here
  jq -s '[.[]|if .kind=="List" then .items[] else . end]' "$V/all.json" > "$V/items.json" 2>/dev/null || echo '[]' > "$V/items.json"
  # 1. what the rest needs to exist: CRDs, namespaces, priority classes, storage classes
  jq '{apiVersion:"v1",kind:"List",items:[.[]|select(.kind=="CustomResourceDefinition" or .kind=="Namespace" or .kind=="PriorityClass" or .kind=="StorageClass")]}' "$V/items.json" > "$V/first.json"
  if [ "$(jq '.items|length' "$V/first.json")" -gt 0 ]; then echo "== namespaces, CRDs, classes"; k apply -f "$V/first.json" || rc=1; k wait --for=condition=Established crd --all --timeout=20s >/dev/null 2>&1 || true; fi
  for i in ${VALIDATE_NAMESPACES:-}; do k create ns "$i" || true; done
  # 2. the whole directory, strict: unknown and duplicate fields are errors
  echo "== kubectl apply --dry-run=server"
  k apply --dry-run=server --validate=strict -f "$V/all.yaml" || rc=1
  # 3. PodSecurity is enforced on Pods only: submit every workload's template as a Pod
  echo "== pod templates against the namespace's Pod Security level"
  jq -c '.[]|. as $o|(if .kind=="Pod" then {metadata:{},spec:.spec} elif .kind=="CronJob" then .spec.jobTemplate.spec.template elif (.spec.template.spec.containers? // null)!=null then .spec.template else null end)|select(.!=null)
    |{apiVersion:"v1",kind:"Pod",metadata:{name:("pss-"+($o.kind|ascii_downcase)+"-"+$o.metadata.name)[0:60],namespace:($o.metadata.namespace//"default"),labels:(.metadata.labels//{}),annotations:(.metadata.annotations//{})},spec:(.spec+{restartPolicy:(.spec.restartPolicy//"Always"),volumes:((.spec.volumes//[])+[$o.spec.volumeClaimTemplates[]?|{name:.metadata.name,emptyDir:{}}])})}' "$V/items.json" > "$V/pods.jsonl" || rc=1
  local line; while read -r line; do k create --dry-run=server -f - <<<"$line" || rc=1; done < "$V/pods.jsonl"
  printf '== %s in %.1f s (apiserver ready after %.1f s)\n' "$([ $rc = 0 ] && echo OK || echo FAILED)" "$(bc_sub $EPOCHREALTIME $t0)" "$(bc_sub $t1 $t0)"
  return $rc
}
bc_sub() { awk -v a="$1" -v b="$2" 'BEGIN{print a-b}'; }

# ---------------------------------------------------------------- what the cluster starts with
manifests() {
  cat <<E
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: standard, annotations: {storageclass.kubernetes.io/is-default-class: "true"}}
provisioner: k8slab/local
volumeBindingMode: WaitForFirstConsumer
reclaimPolicy: Delete
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: k8slab-node-proxier}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: "system:node-proxier"}
subjects: [{kind: User, name: "system:kube-proxy", apiGroup: rbac.authorization.k8s.io}]
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: coredns, namespace: kube-system}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: "system:coredns"}
rules:
- {apiGroups: [""], resources: [endpoints, services, pods, namespaces], verbs: [list, watch]}
- {apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [list, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: "system:coredns"}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: "system:coredns"}
subjects: [{kind: ServiceAccount, name: coredns, namespace: kube-system}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: coredns, namespace: kube-system}
data:
  Corefile: |
    cluster.local in-addr.arpa ip6.arpa {
        errors
        health :8080 {
           lameduck 1s
        }
        ready :8181
        kubernetes cluster.local in-addr.arpa ip6.arpa {
           pods insecure
           ttl 5
        }
        cache 5
        loadbalance
    }
    . {
        errors
        # nothing outside the cluster can be reached; "template" comes before "kubernetes" in CoreDNS's order, hence its own block
        template ANY ANY . {
           rcode NXDOMAIN
        }
    }
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: coredns, namespace: kube-system, labels: {k8s-app: kube-dns}}
spec:
  replicas: 1
  selector: {matchLabels: {k8s-app: kube-dns}}
  template:
    metadata: {labels: {k8s-app: kube-dns}}
    spec:
      priorityClassName: system-cluster-critical
      serviceAccountName: coredns
      dnsPolicy: Default
      # port 53 in the pod, as in every cluster: NetworkPolicies that allow DNS name the pod's port
      securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}, sysctls: [{name: net.ipv4.ip_unprivileged_port_start, value: "0"}]}
      containers:
      - name: coredns
        image: registry.k8s.io/coredns/coredns:$COREDNS_VERSION
        imagePullPolicy: IfNotPresent
        args: [-conf, /etc/coredns/Corefile]
        ports: [{containerPort: 53, name: dns, protocol: UDP}, {containerPort: 53, name: dns-tcp, protocol: TCP}]
        readinessProbe: {httpGet: {path: /ready, port: 8181}, periodSeconds: 1}
        livenessProbe: {httpGet: {path: /health, port: 8080}, initialDelaySeconds: 30}
        resources: {requests: {cpu: 20m, memory: 30Mi}, limits: {memory: 170Mi}}
        securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
        volumeMounts: [{name: c, mountPath: /etc/coredns, readOnly: true}]
      volumes: [{name: c, configMap: {name: coredns}}]
---
apiVersion: v1
kind: Service
metadata: {name: kube-dns, namespace: kube-system, labels: {k8s-app: kube-dns}}
spec:
  clusterIP: $DNS_IP
  selector: {k8s-app: kube-dns}
  ports: [{name: dns, port: 53, targetPort: 53, protocol: UDP}, {name: dns-tcp, port: 53, targetPort: 53, protocol: TCP}]
E
}

# ---------------------------------------------------------------- Go sources
write_pause() { cat <<'E'
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	c := make(chan os.Signal, 8)
	signal.Notify(c, syscall.SIGINT, syscall.SIGTERM, syscall.SIGCHLD)
	for s := range c {
		if s != syscall.SIGCHLD {
			os.Exit(0)
		}
		for {
			if p, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); p <= 0 || err != nil {
				break
			}
		}
	}
}
E
}
write_visitor() { cat <<'E'
// visitor sits in a pod and tries whom it can reach from there: dial HOST:PORT succeeds when somebody answers.
package main

import (
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	if len(os.Args) == 3 && os.Args[1] == "dial" {
		c, err := net.DialTimeout("tcp", os.Args[2], 3*time.Second)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		c.Close()
		return
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	<-stop
}
E
}
write_labnode() { cat <<'E'
// labnode: the two things a bare cluster lacks, for one node.
//
// It provisions PersistentVolumes for the class k8slab/local ("local" volumes: fsGroup works) and, with
// -netpol, enforces networking.k8s.io/v1 NetworkPolicy for the node's pods with one nftables table that is
// replaced as a whole at every change. New connections only: what is established stays up.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	netv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

const provisioner = "k8slab/local"

func main() {
	kc := flag.String("kubeconfig", "", "")
	node := flag.String("node", "", "")
	pvdir := flag.String("pv", "", "")
	mode := flag.String("mode", "0755", "")
	np := flag.Bool("netpol", true, "")
	flag.Parse()
	cfg, err := clientcmd.BuildConfigFromFlags("", *kc)
	if err != nil {
		log.Fatal(err)
	}
	m, err := strconv.ParseUint(*mode, 8, 32)
	if err != nil {
		log.Fatal(err)
	}
	c := kubernetes.NewForConfigOrDie(cfg)
	f := informers.NewSharedInformerFactory(c, 0)
	pvcs, pvs, scs := f.Core().V1().PersistentVolumeClaims(), f.Core().V1().PersistentVolumes(), f.Storage().V1().StorageClasses()
	pods, nss, pols := f.Core().V1().Pods(), f.Core().V1().Namespaces(), f.Networking().V1().NetworkPolicies()
	vol, pol := make(chan struct{}, 1), make(chan struct{}, 1)
	kick := func(ch chan struct{}) cache.ResourceEventHandlerFuncs {
		k := func() {
			select {
			case ch <- struct{}{}:
			default:
			}
		}
		return cache.ResourceEventHandlerFuncs{AddFunc: func(any) { k() }, UpdateFunc: func(_, _ any) { k() }, DeleteFunc: func(any) { k() }}
	}
	for _, i := range []cache.SharedIndexInformer{pvcs.Informer(), pvs.Informer(), scs.Informer()} {
		i.AddEventHandler(kick(vol))
	}
	for _, i := range []cache.SharedIndexInformer{pods.Informer(), nss.Informer(), pols.Informer()} {
		i.AddEventHandler(kick(pol))
	}
	f.Start(nil)
	f.WaitForCacheSync(nil)
	if *np {
		go func() {
			last := ""
			for range pol {
				time.Sleep(50 * time.Millisecond)
				p, _ := pods.Lister().List(labels.Everything())
				n, _ := nss.Lister().List(labels.Everything())
				l, _ := pols.Lister().List(labels.Everything())
				if t := table(p, n, l); t != last {
					cmd := exec.Command("nft", "-f", "-")
					cmd.Stdin = strings.NewReader(t)
					if out, err := cmd.CombinedOutput(); err != nil {
						log.Printf("nft: %v: %s\n%s", err, out, t)
						time.AfterFunc(2*time.Second, func() { kick(pol).AddFunc(nil) })
						continue
					}
					last = t
					log.Printf("netpol: %d policies, %d pods", len(l), len(p))
				}
			}
		}()
	}
	ctx := context.Background()
	for range vol {
		cl, _ := pvcs.Lister().List(labels.Everything())
		for _, pvc := range cl {
			if pvc.Status.Phase == corev1.ClaimBound || pvc.Spec.VolumeName != "" || pvc.Spec.StorageClassName == nil || pvc.DeletionTimestamp != nil {
				continue
			}
			sc, err := scs.Lister().Get(*pvc.Spec.StorageClassName)
			if err != nil || sc.Provisioner != provisioner {
				continue
			}
			if pvc.Annotations["volume.kubernetes.io/storage-provisioner"] == "" && pvc.Annotations["volume.kubernetes.io/selected-node"] == "" {
				continue // WaitForFirstConsumer and no consumer yet
			}
			if pvc.Spec.VolumeMode != nil && *pvc.Spec.VolumeMode == corev1.PersistentVolumeBlock {
				log.Printf("%s/%s: block volumes are not provisioned here", pvc.Namespace, pvc.Name)
				continue
			}
			name := "pvc-" + string(pvc.UID)
			dir := filepath.Join(*pvdir, name)
			if err := os.MkdirAll(dir, 0o755); err != nil {
				log.Print(err)
				continue
			}
			os.Chmod(dir, os.FileMode(m))
			rp := corev1.PersistentVolumeReclaimDelete
			if sc.ReclaimPolicy != nil {
				rp = *sc.ReclaimPolicy
			}
			pv := &corev1.PersistentVolume{
				ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{"pv.kubernetes.io/provisioned-by": provisioner}},
				Spec: corev1.PersistentVolumeSpec{
					Capacity: corev1.ResourceList{corev1.ResourceStorage: pvc.Spec.Resources.Requests[corev1.ResourceStorage]}, AccessModes: pvc.Spec.AccessModes,
					PersistentVolumeReclaimPolicy: rp, StorageClassName: sc.Name, MountOptions: sc.MountOptions,
					ClaimRef:               &corev1.ObjectReference{Kind: "PersistentVolumeClaim", APIVersion: "v1", Namespace: pvc.Namespace, Name: pvc.Name, UID: pvc.UID},
					PersistentVolumeSource: corev1.PersistentVolumeSource{Local: &corev1.LocalVolumeSource{Path: dir}},
					NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: []corev1.NodeSelectorRequirement{
						{Key: "kubernetes.io/hostname", Operator: corev1.NodeSelectorOpIn, Values: []string{*node}}}}}}},
				}}
			if _, err := c.CoreV1().PersistentVolumes().Create(ctx, pv, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
				log.Print(err)
			} else if err == nil {
				log.Printf("provisioned %s for %s/%s", name, pvc.Namespace, pvc.Name)
			}
		}
		vl, _ := pvs.Lister().List(labels.Everything())
		for _, pv := range vl {
			if pv.Annotations["pv.kubernetes.io/provisioned-by"] == provisioner && pv.Status.Phase == corev1.VolumeReleased && pv.Spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimDelete && pv.Spec.Local != nil {
				if filepath.Dir(pv.Spec.Local.Path) == *pvdir {
					os.RemoveAll(pv.Spec.Local.Path)
				}
				if err := c.CoreV1().PersistentVolumes().Delete(ctx, pv.Name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
					log.Print(err)
				} else {
					log.Printf("deleted %s", pv.Name)
				}
			}
		}
	}
}

// ---- NetworkPolicy

func sel(s *metav1.LabelSelector, l map[string]string) bool {
	x, err := metav1.LabelSelectorAsSelector(s)
	return err == nil && x.Matches(labels.Set(l))
}

func has(p *netv1.NetworkPolicy, t netv1.PolicyType) bool {
	for _, x := range p.Spec.PolicyTypes {
		if x == t {
			return true
		}
	}
	return len(p.Spec.PolicyTypes) == 0 && (t == netv1.PolicyTypeIngress || len(p.Spec.Egress) > 0)
}

func proto(p *corev1.Protocol) string {
	if p == nil {
		return "tcp"
	}
	return strings.ToLower(string(*p))
}

// ports as nft matches; pod names the container ports ("" in the list: all ports; nothing in it: none match)
func ports(ps []netv1.NetworkPolicyPort, pod *corev1.Pod) []string {
	if len(ps) == 0 {
		return []string{""}
	}
	var out []string
	for _, p := range ps {
		pr := proto(p.Protocol)
		switch {
		case p.Port == nil:
			out = append(out, "meta l4proto "+pr+" ")
		case p.Port.Type == intstr.String:
			if pod == nil {
				continue
			}
			for _, c := range append(append([]corev1.Container{}, pod.Spec.InitContainers...), pod.Spec.Containers...) {
				for _, cp := range c.Ports {
					cpr := strings.ToLower(string(cp.Protocol))
					if cpr == "" {
						cpr = "tcp"
					}
					if cp.Name == p.Port.StrVal && cpr == pr {
						out = append(out, fmt.Sprintf("%s dport %d ", pr, cp.ContainerPort))
					}
				}
			}
		case p.EndPort != nil:
			out = append(out, fmt.Sprintf("%s dport %d-%d ", pr, p.Port.IntVal, *p.EndPort))
		default:
			out = append(out, fmt.Sprintf("%s dport %d ", pr, p.Port.IntVal))
		}
	}
	return out
}

func named(ps []netv1.NetworkPolicyPort) bool {
	for _, p := range ps {
		if p.Port != nil && p.Port.Type == intstr.String {
			return true
		}
	}
	return false
}

func v4(cidr string) bool { return !strings.Contains(cidr, ":") }

func table(pods []*corev1.Pod, nss []*corev1.Namespace, pols []*netv1.NetworkPolicy) string {
	nl := map[string]map[string]string{}
	for _, n := range nss {
		nl[n.Name] = n.Labels
	}
	var live []*corev1.Pod
	for _, p := range pods {
		if !p.Spec.HostNetwork && p.Status.PodIP != "" && v4(p.Status.PodIP) && p.Status.Phase != corev1.PodSucceeded && p.Status.Phase != corev1.PodFailed {
			live = append(live, p)
		}
	}
	sort.Slice(live, func(i, j int) bool { return live[i].Status.PodIP < live[j].Status.PodIP })
	sort.Slice(pols, func(i, j int) bool { return pols[i].Namespace+"/"+pols[i].Name < pols[j].Namespace+"/"+pols[j].Name })
	var in, eg, ch bytes.Buffer
	for _, p := range live {
		for _, dir := range []netv1.PolicyType{netv1.PolicyTypeIngress, netv1.PolicyTypeEgress} {
			side, pre, jump := "saddr", "in_", &in
			if dir == netv1.PolicyTypeEgress {
				side, pre, jump = "daddr", "eg_", &eg
			}
			isolated := false
			rules := map[string]bool{}
			for _, pol := range pols {
				if pol.Namespace != p.Namespace || !has(pol, dir) || !sel(&pol.Spec.PodSelector, p.Labels) {
					continue
				}
				isolated = true
				one := func(peers []netv1.NetworkPolicyPeer, ps []netv1.NetworkPolicyPort) {
					if len(peers) == 0 {
						if dir == netv1.PolicyTypeEgress && named(ps) {
							for _, q := range live {
								for _, m := range ports(ps, q) {
									rules["ip daddr "+q.Status.PodIP+" "+m] = true
								}
							}
						}
						tp := p
						if dir == netv1.PolicyTypeEgress {
							tp = nil
						}
						for _, m := range ports(ps, tp) {
							rules[m] = true
						}
					}
					for _, peer := range peers {
						if b := peer.IPBlock; b != nil {
							if !v4(b.CIDR) {
								continue
							}
							s := "ip " + side + " " + b.CIDR + " "
							for _, e := range b.Except {
								s += "ip " + side + " != " + e + " "
							}
							tp := p
							if dir == netv1.PolicyTypeEgress {
								tp = nil
							}
							for _, m := range ports(ps, tp) {
								rules[s+m] = true
							}
							continue
						}
						for _, q := range live {
							if peer.NamespaceSelector == nil && q.Namespace != pol.Namespace || peer.NamespaceSelector != nil && !sel(peer.NamespaceSelector, nl[q.Namespace]) {
								continue
							}
							if peer.PodSelector != nil && !sel(peer.PodSelector, q.Labels) {
								continue
							}
							tp := p
							if dir == netv1.PolicyTypeEgress {
								tp = q
							}
							for _, m := range ports(ps, tp) {
								rules["ip "+side+" "+q.Status.PodIP+" "+m] = true
							}
						}
					}
				}
				if dir == netv1.PolicyTypeIngress {
					for _, r := range pol.Spec.Ingress {
						one(r.From, r.Ports)
					}
				} else {
					for _, r := range pol.Spec.Egress {
						one(r.To, r.Ports)
					}
				}
			}
			if !isolated {
				continue
			}
			name := pre + strings.ReplaceAll(p.Status.PodIP, ".", "_")
			own := "daddr"
			if dir == netv1.PolicyTypeEgress {
				own = "saddr"
			}
			fmt.Fprintf(jump, "    ip %s %s jump %s\n", own, p.Status.PodIP, name)
			fmt.Fprintf(&ch, "  chain %s { # %s/%s\n", name, p.Namespace, p.Name)
			var rs []string
			for r := range rules {
				rs = append(rs, r)
			}
			sort.Strings(rs)
			for _, r := range rs {
				fmt.Fprintf(&ch, "    %sreturn\n", r)
			}
			fmt.Fprintf(&ch, "    counter drop\n  }\n")
		}
	}
	return "table ip k8slab_netpol {}\ndelete table ip k8slab_netpol\ntable ip k8slab_netpol {\n" + ch.String() +
		"  chain forward {\n    type filter hook forward priority -5; policy accept;\n    ct state established,related accept\n" + eg.String() + in.String() + "  }\n}\n"
}
E
}

# ---------------------------------------------------------------- self-test

case "${1:-}" in
  build)    build "${2:-all}" ;;
  up)       up ;;
  down)     down ;;
  status)   status ;;
  load)     shift; [ $# -gt 0 ] || die "usage: load IMAGE.tar..."; load "$@"; say "loaded" ;;
  kubectl)  shift; k "$@" ;;
  ctr)      shift; innode ctr -a "$RUN/containerd.sock" -n k8s.io "$@" ;;
  node)     shift; innode "$@" ;;
  validate) shift; validate "$@" ;;
  __node_init) node_init ;;
  __validate)  shift; validate_inner "$@" ;;
  *) sed -n '2,20p' "$SELF" | sed 's/^# \{0,1\}//'; exit 2 ;;
esac
