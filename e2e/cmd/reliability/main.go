// Command reliability makes docs/reliability.md: it runs the tests of faults, and writes the page from what they saw.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/e2e/provenance"
	"github.com/gensyn-monitor/gensyn-monitor/e2e/reliability"
)

// packages are those whose tests report rows.
var packages = []string{
	"./internal/node", "./internal/nodestore/...", "./services/evaluator", "./services/notifier",
	"./e2e/crashpoint", "./e2e/natsfaults", "./e2e/storefaults", "./e2e/stepclock", "./e2e/powerloss", "./e2e/chaos",
}

func main() {
	out := flag.String("o", "docs/reliability.md", "the `page` to write")
	minutes := flag.Int("minutes", 10, "how long the random faults of TestChaos go on")
	rows := flag.String("rows", "", "keep what was seen in this `folder`, and run only what is not green there; the page names the commits")
	skip := flag.String("skip", "", "`packages` to leave out, with commas; the page names them")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *out, *minutes, *rows, strings.FieldsFunc(*skip, func(r rune) bool { return r == ',' })); err != nil {
		fmt.Fprintln(os.Stderr, "reliability:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out string, minutes int, rowsDir string, skip []string) error {
	page := reliability.Run{Command: fmt.Sprintf("make reliability MINUTES=%d", minutes), Started: time.Now(), Missing: skip}
	var err error
	if page.Commit, err = provenance.Commit(ctx); err != nil {
		return err
	}
	if page.Machine, err = provenance.Machine(); err != nil {
		return err
	}
	if rowsDir == "" {
		if rowsDir, err = os.MkdirTemp("", "reliability-"); err != nil {
			return fmt.Errorf("folder for rows: %w", err)
		}
	}
	if page.Commit, err = test(ctx, rowsDir, page.Commit, minutes, skip); err != nil {
		return fmt.Errorf("%w; the page was not written; go on with -rows %s", err, rowsDir)
	}
	rows, err := reliability.Read(rowsDir)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := reliability.Write(&b, page, rows); err != nil {
		return err
	}
	if err := os.WriteFile(out, b.Bytes(), 0o644); err != nil { //nolint:gosec // a page for people
		return fmt.Errorf("write the page: %w", err)
	}
	fmt.Printf("%s: %d rows\n", out, len(rows))
	return nil
}

// test runs the packages one after another, since they measure times. It returns the commits that they were green on.
func test(ctx context.Context, rows, commit string, minutes int, skip []string) (commits string, err error) {
	var failed []string
	green := make(map[string]int)
	for i, p := range packages {
		if slices.Contains(skip, p) {
			fmt.Printf("[%d/%d] %s is left out\n", i+1, len(packages), p)
			continue
		}
		dir := filepath.Join(rows, strings.NewReplacer("./", "", "/...", "", "/", "-").Replace(p))
		done := filepath.Join(dir, "green")
		if c, err := os.ReadFile(done); err == nil {
			fmt.Printf("[%d/%d] %s was green on %s\n", i+1, len(packages), p, c)
			green[string(c)]++
			continue
		}
		if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o700)); err != nil {
			return "", fmt.Errorf("folder for rows: %w", err)
		}
		fmt.Printf("[%d/%d] %s, %s\n", i+1, len(packages), p, time.Now().Format("15:04:05 MST"))
		cmd := exec.CommandContext(ctx, "go", "test", "-count", "1", "-p", "1", "-parallel", "4", "-timeout", "0", p)
		cmd.Env = append(os.Environ(), reliability.DirVariable+"="+dir, fmt.Sprintf("CHAOS_MINUTES=%d", minutes))
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		if err := cmd.Run(); err != nil {
			if ctx.Err() != nil {
				return "", errors.New("interrupted")
			}
			failed = append(failed, p)
			continue
		}
		if err := os.WriteFile(done, []byte(commit), 0o600); err != nil {
			return "", fmt.Errorf("note that %s was green: %w", p, err)
		}
		green[commit]++
	}
	if len(failed) > 0 {
		return "", fmt.Errorf("tests failed in %s", strings.Join(failed, ", "))
	}
	var parts []string
	for _, c := range slices.Sorted(maps.Keys(green)) {
		parts = append(parts, fmt.Sprintf("%s (%d packages)", c, green[c]))
	}
	return strings.Join(parts, ", "), nil
}
