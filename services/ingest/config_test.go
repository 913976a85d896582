package ingest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gensyn-monitor/gensyn-monitor/internal/settings"
)

func TestProcessConfig(t *testing.T) {
	t.Setenv("SHARED_SECRET", "correct-horse")
	t.Setenv("TRUSTED_PROXIES", "10.0.0.7/8, 192.0.2.1,::1, 2001:db8::/32")
	var c ProcessConfig
	if err := settings.Load(&c); err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(c.TrustedProxies), "[10.0.0.0/8 192.0.2.1/32 ::1/128 2001:db8::/32]"; got != want {
		t.Errorf("proxies %s, want %s", got, want)
	}
	if c.ListenAddr != ":8080" || c.NATSURL != "nats://127.0.0.1:4222" || c.MetricsAddr != "127.0.0.1:9101" || c.LogLevel != "info" {
		t.Errorf("defaults %+v", c)
	}
	if w := c.Warnings(); len(w) != 0 {
		t.Errorf("warnings %v", w)
	}
}

func TestProcessConfigRefuses(t *testing.T) {
	tests := []struct{ name, value, want string }{
		{"SHARED_SECRET", "", "SHARED_SECRET is not set: set it to the secret that the agents use"},
		{"SHARED_SECRET", "two words", "SHARED_SECRET is not allowed: it must have no spaces or control characters"},
		{"TRUSTED_PROXIES", "10.0.0.0/40", "TRUSTED_PROXIES=10.0.0.0/40 is not allowed: it must be addresses or networks like 10.0.0.0/8, separated by commas"},
		{"TRUSTED_PROXIES", "proxy", "TRUSTED_PROXIES=proxy is not allowed: it must be addresses or networks like 10.0.0.0/8, separated by commas"},
		{"NATS_URL", "nats://u:hidden@", "NATS_URL is not allowed: it must be addresses such as nats://127.0.0.1:4222, separated by commas"},
		{"NATS_URL", "nats://a:1,%", "NATS_URL is not allowed: it must be addresses such as nats://127.0.0.1:4222, separated by commas"},
	}
	for _, tt := range tests {
		t.Run(tt.name+"="+tt.value, func(t *testing.T) {
			t.Setenv("SHARED_SECRET", "correct-horse")
			t.Setenv(tt.name, tt.value)
			var c ProcessConfig
			if err := settings.Load(&c); err == nil || err.Error() != tt.want {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
}

func TestShortSecretIsWarnedAbout(t *testing.T) {
	for secret, want := range map[settings.Secret]int{"": 0, "пароль1": 1, "пароль12": 0} {
		w := Config{SharedSecret: secret}.Warnings()
		if len(w) != want || strings.Contains(strings.Join(w, ""), secret.Reveal()) != (secret == "") {
			t.Errorf("%d characters: %v", len([]rune(secret.Reveal())), w)
		}
	}
}
