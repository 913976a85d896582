package main

import (
	"bytes"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/outbound/proxytest"
	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/telegram/telegramtest"
)

// checker is the real program as "notifier test", with these variables and no others.
func checker(t *testing.T) func(env ...string) (code int, out, errs string) {
	t.Helper()
	program := filepath.Join(t.TempDir(), "notifier")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return func(env ...string) (int, string, string) {
		cmd := exec.CommandContext(t.Context(), program, "test")
		cmd.Dir, cmd.Env = t.TempDir(), append(env, "TELEGRAM_BOT_TOKEN="+telegramtest.Token, "TELEGRAM_CHAT_ID=-1005:3")
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		err := cmd.Run()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		if all := stdout.String() + stderr.String(); strings.Contains(all, telegramtest.Token) || strings.Contains(all, "pass-word") {
			t.Errorf("a secret is shown:\n%s", all)
		}
		return cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()
	}
}

// The program reaches Telegram through the proxy of the environment, with neither database nor NATS; what is wrong with
// the proxy it says in words.
func TestTheCheckGoesThroughTheProxy(t *testing.T) {
	fake := telegramtest.New()
	t.Cleanup(fake.Close)
	fake.Know("-1005")
	tls, certificates := proxytest.TLS(t, fake.URL())
	open, closed := proxytest.New(t, tls, ""), proxytest.New(t, tls, "user:pass-word")
	astray := proxytest.New(t, "127.0.0.1:1", "")
	check := checker(t)
	asUser := func(user string) string { return strings.Replace(closed.URL, "http://", "http://"+user+"@", 1) }
	for _, tt := range []struct {
		name, proxy, certificates string
		code                      int
		says                      string
	}{
		{"a proxy", open.URL, certificates, 0, "✓ chat -1005:3 (Group -1005): message sent"},
		{"with a password", asUser("user:pass-word"), certificates, 0, "✓ token: the bot is @fake_bot"},
		{"without one", closed.URL, certificates, 1, "✗ no way to Telegram: the proxy of HTTPS_PROXY refuses (407 Proxy Authentication Required)"},
		{"with a wrong one", asUser("user:pass-words"), certificates, 1, "refuses (407"},
		{"that has no way", astray.URL, certificates, 1, "refuses (502 Bad Gateway)"},
		{"that is not there", "http://user:pass-word@127.0.0.1:1", certificates, 1, "✗ no way to Telegram: the proxy of HTTPS_PROXY cannot be reached"},
		{"that listens in", open.URL, "", 1, "its certificate is not trusted"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, out, errs := check("HTTPS_PROXY="+tt.proxy, "SSL_CERT_FILE="+tt.certificates, "TELEGRAM_API_URL=https://telegram.example.com")
			if code != tt.code || !strings.Contains(out, tt.says) {
				t.Errorf("status %d, want %d and %q:\n%s%s", code, tt.code, tt.says, out, errs)
			}
			if (errs == "") != (tt.code == 0) {
				t.Errorf("errors: %q", errs)
			}
		})
	}
	if hosts := open.Hosts(); len(hosts) == 0 || hosts[0] != "telegram.example.com:443" {
		t.Errorf("asked for %q", hosts)
	}
	if n := len(fake.Messages()); n != 2 {
		t.Errorf("%d messages", n)
	}
}

func TestTheCheckWithoutAWayNamesBothVariables(t *testing.T) {
	check := checker(t)
	for api, says := range map[string]string{
		"https://telegram.invalid": "имя telegram.invalid не находится",
		"http://127.0.0.1:1":       "127.0.0.1:1 не принимает соединения",
	} {
		code, out, errs := check("LANGUAGE=ru", "TELEGRAM_API_URL="+api)
		if code != 1 || !strings.Contains(out, says) || !strings.Contains(out, "HTTPS_PROXY") || !strings.Contains(out, "TELEGRAM_API_URL") ||
			errs != "notifier: не удалось: 1 из 1\n" {
			t.Errorf("status %d\n%s%s", code, out, errs)
		}
	}
}
