package compose

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/freeport"
)

// Prometheus hears every replica, its rules are read and find nothing wrong, and nothing more is open to others. Grafana
// may be a stand-in here: that it starts with its password from a file is tried, not what it draws.
func TestMetrics(t *testing.T) {
	if testing.Short() {
		t.Skip("needs Prometheus, which takes minutes to build where images cannot be pulled")
	}
	d := deploy(t, "gensyn-monitor-e2e-metrics", "compose.metrics.yaml")
	ports := make(map[string]int)
	for _, name := range []string{"PROMETHEUS_PORT", "GRAFANA_PORT"} {
		port, err := freeport.Port()
		if err != nil {
			t.Fatal(err)
		}
		ports[name] = port
	}
	d.write(fmt.Sprintf("PROMETHEUS_PORT=%d", ports["PROMETHEUS_PORT"]), fmt.Sprintf("GRAFANA_PORT=%d", ports["GRAFANA_PORT"]))
	d.up()
	prometheus := fmt.Sprintf("http://127.0.0.1:%d", ports["PROMETHEUS_PORT"])

	want := []string{"gensyn-evaluator", "gensyn-evaluator", "gensyn-ingest", "gensyn-ingest", "gensyn-notifier", "gensyn-web"}
	var up []string
	eventually(t, time.Minute, "every replica is scraped", func() bool {
		var said struct {
			Data struct {
				ActiveTargets []struct {
					Health string
					Labels map[string]string
				}
			}
		}
		ask(t, prometheus+"/api/v1/targets", &said)
		up = nil
		for _, target := range said.Data.ActiveTargets {
			if target.Health == "up" {
				up = append(up, target.Labels["job"])
			}
		}
		slices.Sort(up)
		return slices.Equal(up, want)
	})
	var rules struct {
		Data struct {
			Groups []struct {
				Rules []struct{ Name, Health, State, LastError string }
			}
		}
	}
	eventually(t, 2*time.Minute, "every rule is evaluated", func() bool {
		ask(t, prometheus+"/api/v1/rules", &rules)
		for _, g := range rules.Data.Groups {
			for _, r := range g.Rules {
				if r.Health == "unknown" {
					return false
				}
			}
		}
		return len(rules.Data.Groups) > 0
	})
	for _, g := range rules.Data.Groups {
		for _, r := range g.Rules {
			if r.Health != "ok" || r.State == "firing" {
				t.Errorf("%s: %s, %s %s", r.Name, r.Health, r.State, r.LastError)
			}
		}
	}
	var grafana struct{ Database string }
	eventually(t, time.Minute, "Grafana answers", func() bool {
		return ask(t, fmt.Sprintf("http://127.0.0.1:%d/api/health", ports["GRAFANA_PORT"]), &grafana) && grafana.Database == "ok"
	})
	password := d.made("grafana/admin_password")
	for _, c := range d.containers() {
		for port, bindings := range c.HostConfig.PortBindings {
			if raw, err := json.Marshal(bindings); err != nil || c.service() != "caddy" && !strings.Contains(string(raw), `"HostIp":"127.0.0.1"`) {
				t.Errorf("%s: port %s is open to others: %s, %v", c.service(), port, raw, err)
			}
		}
		if strings.Contains(run(t, "docker", "inspect", c.ID), password) {
			t.Errorf("docker inspect of %s shows Grafana's password", c.Name)
		}
		if h := c.HostConfig; c.service() != "init" && (!h.ReadonlyRootfs || h.Memory == 0 || h.LogConfig.Config["max-size"] == "") {
			t.Errorf("%s: read-only %v, memory %d, log %v", c.Name, h.ReadonlyRootfs, h.Memory, h.LogConfig.Config)
		}
	}
	// The figures are for Prometheus alone: who is in front does not get them.
	for _, c := range d.of("caddy") {
		if _, err := try(os.Environ(), "docker", "exec", c.ID, "wget", "-q", "-T", "3", "-O", "/dev/null", "http://"+
			net.JoinHostPort(d.address("web", "metrics"), "9104")+"/metrics"); err == nil {
			t.Error("the proxy reaches the figures of web")
		}
	}
}

// ask reads a JSON answer, and is false when there is none.
func ask(t *testing.T, url string, into any) bool {
	t.Helper()
	client := http.Client{Timeout: 5 * time.Second}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return err == nil && resp.StatusCode == http.StatusOK && json.Unmarshal(body, into) == nil
}
