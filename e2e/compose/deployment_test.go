// Package compose tests the compose deployment as it is: the images that the Dockerfile makes, started by the compose
// file, reached through its proxy. It needs a docker engine and the images: make e2e-compose.
package compose

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/freeport"
	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/telegram/telegramtest"
)

const (
	domain    = "monitor.localhost" // Caddy makes a certificate for it by itself
	folder    = "../../deploy/compose"
	threshold = 20 * time.Second
	chat      = "7"
)

// deployment is one compose project, of this test alone.
type deployment struct {
	t        *testing.T
	project  string
	files    []string
	settings string // the settings file
	base     string // host:port of the proxy
	telegram *telegramtest.Server
	read     map[string]string // what init made, by path
}

// deploy prepares a project and takes it away when t ends. Nothing is started.
func deploy(t *testing.T, project string, overlays ...string) *deployment {
	t.Helper()
	d := &deployment{t: t, project: project, files: []string{filepath.Join(folder, "compose.yaml")}}
	for _, o := range overlays {
		d.files = append(d.files, filepath.Join(folder, o))
	}
	// Containers reach it as they reach the Internet: through their default route.
	telegram, err := telegramtest.Listen(net.JoinHostPort(outside(t, project), "0"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(telegram.Close)
	d.telegram = telegram
	if d.base, err = freeport.Address(); err != nil {
		t.Fatal(err)
	}
	d.settings = filepath.Join(t.TempDir(), "env")
	d.write("LOG_LEVEL=info")
	d.down()
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(d.compose("logs", "--no-color", "--tail", "30"))
		}
		d.down()
	})
	return d
}

// outside is an address of this machine that is in none of the project's networks: containers reach it as they reach
// the Internet.
func outside(t *testing.T, project string) string {
	t.Helper()
	name := project + "-outside"
	_, _ = try(os.Environ(), "docker", "network", "rm", name) // of an earlier run
	run(t, "docker", "network", "create", name)
	t.Cleanup(func() { run(t, "docker", "network", "rm", name) })
	return strings.TrimSpace(run(t, "docker", "network", "inspect", name, "-f", "{{(index .IPAM.Config 0).Gateway}}"))
}

// write makes the settings file, as a person would.
func (d *deployment) write(more ...string) {
	d.t.Helper()
	host, port, err := net.SplitHostPort(d.base)
	if err != nil {
		d.t.Fatal(err)
	}
	lines := append([]string{
		"DOMAIN=" + domain, "HTTPS_BIND=" + host, "HTTPS_PORT=" + port, "SETTINGS_FILE=" + d.settings,
		"TELEGRAM_BOT_TOKEN=" + telegramtest.Token, "TELEGRAM_CHAT_ID='" + chat + "'  # a group", "TELEGRAM_API_URL=" + d.telegram.URL(),
		fmt.Sprintf("DOWN_THRESHOLD_SEC=%.0f", threshold.Seconds()),
		`WEB_USERNAME="viewer"`, "WEB_PASSWORD='pass#word'", "SECURITY_CONTACT=mailto:security@example.org",
	}, more...)
	if err := os.WriteFile(d.settings, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		d.t.Fatal(err)
	}
}

// environment makes docker compose, and scripts that call it, work on this project.
func (d *deployment) environment() []string {
	return append(os.Environ(), "COMPOSE_PROJECT_NAME="+d.project, "COMPOSE_ENV_FILES="+d.settings,
		"COMPOSE_FILE="+strings.Join(absolute(d.t, d.files), ":"))
}

func absolute(t *testing.T, paths []string) []string {
	t.Helper()
	out := make([]string, len(paths))
	for i, p := range paths {
		a, err := filepath.Abs(p)
		if err != nil {
			t.Fatal(err)
		}
		out[i] = a
	}
	return out
}

// compose runs docker compose and returns what it wrote to standard output.
func (d *deployment) compose(args ...string) string {
	d.t.Helper()
	return d.command("docker", append([]string{"compose", "--progress", "quiet"}, args...)...)
}

// command runs something on this project.
func (d *deployment) command(name string, args ...string) string {
	d.t.Helper()
	out, err := try(d.environment(), name, args...)
	if err != nil {
		d.t.Fatal(err)
	}
	return out
}

func (d *deployment) up(args ...string) {
	d.t.Helper()
	d.compose(append([]string{"up", "-d", "--no-build", "--wait", "--wait-timeout", "180"}, args...)...)
}

func (d *deployment) down() {
	d.t.Helper()
	d.compose("down", "-v", "--remove-orphans", "-t", "5")
}

// run runs a command that must succeed.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := try(os.Environ(), name, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func try(env []string, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = env
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s%s", name, strings.Join(args, " "), err, stdout.String(), stderr.String())
	}
	return stdout.String(), nil
}

// container is what docker inspect says of one, as far as it matters here.
type container struct {
	ID    string `json:"Id"`
	Name  string
	State struct {
		Status string
		Pid    int
		Health *struct{ Status string }
	}
	RestartCount int
	Config       struct {
		User   string
		Env    []string
		Labels map[string]string
	}
	HostConfig struct {
		ReadonlyRootfs bool
		CapDrop        []string
		CapAdd         []string
		SecurityOpt    []string
		Memory         int64
		PidsLimit      *int64
		RestartPolicy  struct{ Name string }
		LogConfig      struct{ Config map[string]string }
		PortBindings   map[string]any
	}
	NetworkSettings struct {
		Networks map[string]struct{ IPAddress string }
	}
	Mounts []struct{ Name, Destination string }
}

// service is the name in the compose file.
func (c container) service() string { return c.Config.Labels["com.docker.compose.service"] }

func (c container) healthy() bool { return c.State.Health != nil && c.State.Health.Status == "healthy" }

// containers are all of the project, init too.
func (d *deployment) containers() []container {
	d.t.Helper()
	ids := strings.Fields(run(d.t, "docker", "ps", "-aq", "--filter", "label=com.docker.compose.project="+d.project,
		"--filter", "label=com.docker.compose.oneoff=False"))
	var out []container
	if err := json.Unmarshal([]byte(run(d.t, "docker", append([]string{"inspect"}, ids...)...)), &out); err != nil {
		d.t.Fatal(err)
	}
	return out
}

// of are the containers of a service, in no order.
func (d *deployment) of(service string) []container {
	d.t.Helper()
	var out []container
	for _, c := range d.containers() {
		if c.service() == service {
			out = append(out, c)
		}
	}
	if len(out) == 0 {
		d.t.Fatalf("no container of %s", service)
	}
	return out
}

// address is where this machine reaches a service, though no other may: the machine is in all of its networks.
func (d *deployment) address(service, network string) string {
	d.t.Helper()
	a := d.of(service)[0].NetworkSettings.Networks[d.project+"_"+network].IPAddress
	if a == "" {
		d.t.Fatalf("%s is not in the network %s", service, network)
	}
	return a
}

// made is the content of a file that init wrote.
func (d *deployment) made(path string) string {
	d.t.Helper()
	if d.read == nil {
		d.read = make(map[string]string)
		all := d.compose("run", "--rm", "-T", "--no-deps", "--entrypoint", "sh", "init", "-c",
			`for f in /secrets/*/*; do echo "$f $(tail -n 1 "$f")"; done`)
		for line := range strings.Lines(all) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
			d.read[strings.TrimPrefix(name, "/secrets/")] = value
		}
	}
	if d.read[path] == "" {
		d.t.Fatalf("init made no %s", path)
	}
	return d.read[path]
}

// nats is the address of the bus for a user of it.
func (d *deployment) nats(user string) string {
	d.t.Helper()
	list, _, _ := strings.Cut(d.made(user+"/NATS_URL"), ",")
	u, err := url.Parse(list)
	if err != nil {
		d.t.Fatal(err)
	}
	u.Host = net.JoinHostPort(d.address("nats", "bus"), "4222")
	return u.String()
}

// database is the database for the role of a service.
func (d *deployment) database(service string) string {
	d.t.Helper()
	u, err := url.Parse(d.made(service + "/DATABASE_URL"))
	if err != nil {
		d.t.Fatal(err)
	}
	u.Host = net.JoinHostPort(d.address("postgres", "data"), "5432")
	return u.String()
}

// transport reaches the proxy by its name and trusts its certificate alone.
func (d *deployment) transport() *http.Transport {
	d.t.Helper()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(d.compose("exec", "-T", "caddy", "cat", "/data/caddy/pki/authorities/local/root.crt"))) {
		d.t.Fatal("no certificate")
	}
	dialer := net.Dialer{Timeout: 2 * time.Second}
	return &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, d.base)
		},
		TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, MaxIdleConnsPerHost: 100,
		IdleConnTimeout: 30 * time.Second,
	}
}

// kill ends the process of a container as a crash would, unlike docker kill, after which nobody restarts it.
func (d *deployment) kill(c container) {
	d.t.Helper()
	if err := syscall.Kill(c.State.Pid, syscall.SIGKILL); err != nil {
		d.t.Fatalf("kill %s: %v", c.Name, err)
	}
}

// revived waits until a killed container runs again and is healthy, and returns how long that took.
func (d *deployment) revived(was container) time.Duration {
	d.t.Helper()
	begun := time.Now()
	eventually(d.t, time.Minute, was.Name+" runs again", func() bool {
		for _, c := range d.of(was.service()) {
			if c.ID == was.ID {
				return c.RestartCount > was.RestartCount && c.healthy()
			}
		}
		return false
	})
	return time.Since(begun)
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
