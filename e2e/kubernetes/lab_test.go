// Package kubernetes tests the manifests of deploy/k8s in a whole cluster: API server, controllers, kubelet, containerd,
// kube-proxy and enforced network policies. It needs root and the images of the compose deployment: make e2e-k8s.
package kubernetes

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/telegram/telegramtest"
)

const (
	script    = "../../tools/kubernetes/cluster.sh"
	namespace = "gensyn-monitor"
	chat      = "7"
	threshold = 20 * time.Second
	// where pods find this machine, see testdata/overlay
	machine = "10.243.0.1:18443"
)

var (
	deployments = []string{"evaluator", "notifier", "web", "ingest"} // readers before writers
	images      = []string{
		"gensyn-monitor/ingest:dev", "gensyn-monitor/evaluator:dev", "gensyn-monitor/notifier:dev", "gensyn-monitor/web:dev",
		"nats:2.15-alpine", "postgres:17-alpine",
	}
)

// lab is the cluster, of this test alone.
type lab struct {
	t        *testing.T
	telegram *telegramtest.Server
}

// start brings a cluster up with the images in it, and takes it down when t ends.
func start(t *testing.T) *lab {
	t.Helper()
	l := &lab{t: t}
	archive := filepath.Join(t.TempDir(), "images.tar")
	l.command(nil, "docker", append([]string{"save", "-o", archive}, images...)...)
	t.Cleanup(func() { _, _ = try(nil, 2*time.Minute, script, "down") })
	l.command(nil, script, "down") // what an earlier run left
	l.command(nil, script, "up")
	l.command(nil, script, "load", archive)
	telegram, err := telegramtest.Listen(machine)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(telegram.Close)
	l.telegram = telegram
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(try(nil, time.Minute, script, "kubectl", "-n", namespace, "get", "pods,events", "-o", "wide"))
			for _, d := range deployments {
				t.Log(try(nil, time.Minute, script, "kubectl", "-n", namespace, "logs", "--prefix", "--tail=20", "-l", "app.kubernetes.io/name="+d))
			}
		}
	})
	return l
}

func (l *lab) with(t *testing.T) *lab {
	part := *l
	part.t = t
	return &part
}

// deploy applies Secrets and manifests as the README says, and waits until everything is ready.
func (l *lab) deploy() {
	l.t.Helper()
	secrets := l.command([]string{"TELEGRAM_BOT_TOKEN=" + telegramtest.Token, "TELEGRAM_CHAT_ID=" + chat}, "../../deploy/k8s/secrets.sh")
	file := filepath.Join(l.t.TempDir(), "secrets.yaml")
	if err := os.WriteFile(file, []byte(secrets), 0o600); err != nil {
		l.t.Fatal(err)
	}
	l.command(nil, script, "kubectl", "apply", "-f", file)
	l.command(nil, script, "kubectl", "apply", "-k", "testdata/overlay")
	for _, s := range []string{"statefulset/nats", "statefulset/postgres"} {
		l.kubectl("rollout", "status", s, "--timeout=5m")
	}
	l.settled()
}

// settled waits until every deployment runs as it is meant to.
func (l *lab) settled() {
	l.t.Helper()
	for _, d := range deployments {
		l.kubectl("rollout", "status", "deployment/"+d, "--timeout=5m")
	}
}

func (l *lab) kubectl(args ...string) string {
	l.t.Helper()
	return l.command(nil, script, append([]string{"kubectl", "-n", namespace}, args...)...)
}

func (l *lab) command(env []string, name string, args ...string) string {
	l.t.Helper()
	out, err := try(env, 10*time.Minute, name, args...)
	if err != nil {
		l.t.Fatal(err)
	}
	return out
}

// try runs a command and returns what it wrote to standard output.
func try(env []string, limit time.Duration, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.WaitDelay = time.Second // the cluster keeps our standard error open
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil && !errors.Is(err, exec.ErrWaitDelay) {
		return "", fmt.Errorf("%s %s: %w\n%s%s", name, strings.Join(args, " "), err, stdout.String(), stderr.String())
	}
	return stdout.String(), nil
}

// pods are the names of a program's pods.
func (l *lab) pods(program string) []string {
	l.t.Helper()
	return strings.Fields(l.kubectl("get", "pods", "-l", "app.kubernetes.io/name="+program, "-o", "jsonpath={.items[*].metadata.name}"))
}

// service is where a Service of one address is reached.
func (l *lab) service(name string) string {
	l.t.Helper()
	return "http://" + net.JoinHostPort(l.kubectl("get", "service", name, "-o", "jsonpath={.spec.clusterIP}"), "8080")
}

func (l *lab) secret(name, key string) string {
	l.t.Helper()
	data, err := base64.StdEncoding.DecodeString(l.kubectl("get", "secret", name, "-o", "jsonpath={.data."+key+"}"))
	if err != nil {
		l.t.Fatal(err)
	}
	return string(data)
}

// reach is the address of a secret, by the pod's own address: this machine does not know the cluster's names.
func (l *lab) reach(secret, key, program, port string) string {
	l.t.Helper()
	u, err := url.Parse(l.secret(secret, key))
	if err != nil {
		l.t.Fatal(err)
	}
	ip := l.kubectl("get", "pods", "-l", "app.kubernetes.io/name="+program, "-o", "jsonpath={.items[0].status.podIP}")
	u.Host = net.JoinHostPort(ip, port)
	return u.String()
}

// eventually fails the test when ok is not true within the limit.
func eventually(t *testing.T, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); !ok(); time.Sleep(200 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", limit, what)
		}
	}
}
