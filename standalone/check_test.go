package main

import (
	"bytes"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/gensyn-monitor/gensyn-monitor/internal/program"
	"github.com/gensyn-monitor/gensyn-monitor/services/notifier/telegram/telegramtest"
)

// test-telegram reads .env as the monitor does, and leaves no data directory behind.
func TestTheCheckReadsDotEnv(t *testing.T) {
	fake := telegramtest.New()
	defer fake.Close()
	defer http.DefaultClient.CloseIdleConnections()
	dir := t.TempDir()
	t.Chdir(dir)
	for _, name := range []string{"TELEGRAM_BOT_TOKEN", "TELEGRAM_CHAT_ID", "TELEGRAM_API_URL", "WEBHOOK_URL", "WEBHOOK_SECRET", "LANGUAGE"} {
		t.Setenv(name, "") // puts back what was there
	}
	env := "TELEGRAM_BOT_TOKEN=" + telegramtest.Token + "\nTELEGRAM_CHAT_ID=7,-1005\nTELEGRAM_API_URL=" + fake.URL() + "\n"
	if err := os.WriteFile(".env", []byte(env), 0o600); err != nil {
		t.Fatal(err)
	}
	check := func() (int, string) {
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), []string{"test-telegram"}, &stdout, &stderr)
		return code, stdout.String() + stderr.String()
	}
	if code, out := check(); code != program.Succeeded || strings.Count(out, "✓") != 3 {
		t.Errorf("status %d\n%s", code, out)
	}
	fake.Know("7")
	if code, out := check(); code != program.Failed || strings.Count(out, "✓") != 2 || !strings.Contains(out, "✗ chat -1005") ||
		!strings.Contains(out, "standalone: 1 of 3 failed") {
		t.Errorf("status %d\n%s", code, out)
	}
	if files, err := os.ReadDir("."); err != nil || len(files) != 1 {
		t.Errorf("%v, %v", files, err)
	}
}
