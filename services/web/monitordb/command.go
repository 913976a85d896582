package monitordb

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/program"
)

// Command is the command import of a program. config is what with needs of the environment; with opens the monitor,
// calls f and closes it.
func Command(config any, with func(ctx context.Context, f func(Target) error) error) program.Command {
	var path string
	var dry bool
	return program.Command{
		Name: "import", Operands: "[--dry-run] monitor.db", Config: config,
		Summary: "takes over the nodes of a first Gensyn Monitor, without telling anybody; succeeds when all are here",
		Parse: func(args []string) (err error) {
			path, dry, err = parse(args)
			return err
		},
		Run: func(ctx context.Context, out io.Writer) error {
			d, err := Read(ctx, path, time.Now())
			if err != nil {
				return err
			}
			return with(ctx, func(t Target) error { return Import(ctx, t, d, dry, out) })
		},
	}
}

// parse takes the flag before the file or after it.
func parse(args []string) (path string, dry bool, err error) {
	flags := flag.NewFlagSet("import", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.BoolVar(&dry, "dry-run", false, "")
	var files []string
	for {
		if err := flags.Parse(args); err != nil {
			return "", false, fmt.Errorf("%w; see --help", err)
		}
		if flags.NArg() == 0 {
			break
		}
		files, args = append(files, flags.Arg(0)), flags.Args()[1:]
	}
	if len(files) != 1 || strings.TrimSpace(files[0]) == "" {
		return "", false, errors.New("name one file, the monitor.db of the old server")
	}
	return files[0], dry, nil
}
