package compose

import (
	"encoding/json"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// Images hold the program alone, are small, and say what they are.
func TestImages(t *testing.T) {
	tags := map[string]string{"dev": runtime.GOARCH}
	if !testing.Short() {
		tags["dev-arm64"] = "arm64"
	}
	for name, most := range map[string]int64{ // MB, uncompressed
		"ingest": 25, "evaluator": 25, "notifier": 25, "web": 25, "agent": 8,
		"standalone": 36, // a database and a message server are in it
	} {
		for tag, architecture := range tags {
			checkImage(t, name, "gensyn-monitor/"+name+":"+tag, architecture, most)
		}
	}
}

func checkImage(t *testing.T, name, image, architecture string, most int64) {
	t.Helper()
	var found []struct {
		Size         int64
		Architecture string
		Config       struct {
			User        string
			Entrypoint  []string
			Labels      map[string]string
			Healthcheck struct{ Test []string }
		}
	}
	if err := json.Unmarshal([]byte(run(t, "docker", "image", "inspect", image)), &found); err != nil {
		t.Fatal(err)
	}
	i := found[0]
	t.Logf("%s: %.1f MB", image, float64(i.Size)/1e6)
	if i.Size > most*1_000_000 {
		t.Errorf("%s: %d bytes, more than %d MB", image, i.Size, most)
	}
	if i.Architecture != architecture {
		t.Errorf("%s is for %s", image, i.Architecture)
	}
	if i.Config.User != "65532:65532" || !slices.Equal(i.Config.Healthcheck.Test, []string{"CMD", "/app", "healthcheck"}) {
		t.Errorf("%s: user %q, health check %v", image, i.Config.User, i.Config.Healthcheck.Test)
	}
	for label, want := range map[string]string{"title": name, "version": "dev", "licenses": "MIT", "revision": "", "source": "https://"} {
		if got, ok := i.Config.Labels["org.opencontainers.image."+label]; !ok || !strings.Contains(got, want) {
			t.Errorf("%s: label %s is %q", image, label, got)
		}
	}
	if architecture != runtime.GOARCH {
		return
	}
	if _, err := try(os.Environ(), "docker", "run", "--rm", "--entrypoint", "/bin/sh", image, "-c", "true"); err == nil {
		t.Errorf("%s has a shell", image)
	}
	if said := run(t, "docker", "run", "--rm", "--read-only", "--network", "none", image, "--version"); said != "dev\n" {
		t.Errorf("%s: version %q", image, said)
	}
}

// A single person's monitor in one container, and an agent in another that reports to it.
func TestStandaloneAndAgent(t *testing.T) {
	const network, monitor, agent = "gensyn-monitor-e2e-alone", "gensyn-monitor-e2e-standalone", "gensyn-monitor-e2e-agent"
	const secret = "the-secret-of-this-test"
	clean := func() {
		for _, name := range []string{monitor, agent} {
			_, _ = try(os.Environ(), "docker", "rm", "-fv", name)
		}
		_, _ = try(os.Environ(), "docker", "network", "rm", network)
	}
	clean()
	t.Cleanup(clean)
	run(t, "docker", "network", "create", network)
	start := func(name, image string, more ...string) {
		t.Helper()
		args := append([]string{"run", "-d", "--name", name, "--network", network, "--read-only", "--cap-drop", "ALL",
			"--security-opt", "no-new-privileges", "-v", "/data", "--health-interval", "1s"}, more...)
		run(t, "docker", append(args, "gensyn-monitor/"+image+":dev")...)
	}
	health := func(name string) string {
		return strings.TrimSpace(run(t, "docker", "inspect", "-f", "{{.State.Health.Status}}", name))
	}
	start(monitor, "standalone", "-e", "SHARED_SECRET="+secret)
	eventually(t, time.Minute, "the monitor is healthy", func() bool { return health(monitor) == "healthy" })
	start(agent, "agent", "-e", "SERVER_URL=http://"+monitor+":8080", "-e", "NODE_ID=alpha", "-e", "INTERVAL_SEC=10", "-e", "SHARED_SECRET=wrong")
	eventually(t, time.Minute, "the agent was refused", func() bool {
		return strings.Contains(logged(t, agent), "401")
	})
	if got := health(agent); got == "healthy" {
		t.Error("the agent is healthy although it is refused")
	}
	run(t, "docker", "rm", "-fv", agent)
	start(agent, "agent", "-e", "SERVER_URL=http://"+monitor+":8080", "-e", "NODE_ID=alpha", "-e", "INTERVAL_SEC=10", "-e", "SHARED_SECRET="+secret)
	eventually(t, time.Minute, "the agent's reports are accepted", func() bool { return health(agent) == "healthy" })
}

// logged is all that a container wrote.
func logged(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "docker", "logs", name).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}
