package access

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"

	"github.com/gensyn-monitor/gensyn-monitor/internal/program"
)

// minPassword is the shortest password that is hashed, in characters: a hash does not make a short one long.
const minPassword = 8

// maxTyped bounds what is read, in bytes.
const maxTyped = 1024

// HashCommand is the command that makes a hash for WEB_PASSWORD. The password is asked for twice at a terminal, which does
// not show it; else it is the first line of in. It is no argument: those are in the shell's history, and every process can
// read them. ask is where questions go.
func HashCommand(in *os.File, ask io.Writer) program.Command {
	return program.Command{
		Name: "hash-password", Config: &struct{}{},
		Summary: "reads a password from standard input and writes its argon2id hash, for WEB_PASSWORD",
		Run: func(_ context.Context, out io.Writer) error {
			password, err := typed(in, ask)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(out, HashPassword(password))
			return err
		},
	}
}

// typed reads a password.
func typed(in *os.File, ask io.Writer) (string, error) {
	if !term.IsTerminal(int(in.Fd())) {
		return firstLine(in)
	}
	once, err := unseen(in, ask, "Password: ")
	if err != nil {
		return "", err
	}
	again, err := unseen(in, ask, "The same again: ")
	switch {
	case err != nil:
		return "", err
	case once != again:
		return "", errors.New("the two passwords are not the same")
	}
	return once, checkNew(once)
}

// unseen asks at a terminal that does not show what is typed.
func unseen(in *os.File, ask io.Writer, question string) (string, error) {
	_, _ = io.WriteString(ask, question)
	text, err := term.ReadPassword(int(in.Fd()))
	_, _ = io.WriteString(ask, "\n")
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	return string(text), nil
}

// firstLine is a line without its end.
func firstLine(in io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(in, maxTyped+1)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read the password: %w", err)
	}
	line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
	return line, checkNew(line)
}

// checkNew says why a password cannot be hashed. What browsers cannot send is none.
func checkNew(password string) error {
	switch {
	case len(password) > maxTyped:
		return fmt.Errorf("the password has more than %d bytes", maxTyped)
	case !utf8.ValidString(password):
		return errors.New("the password is not UTF-8")
	case utf8.RuneCountInString(password) < minPassword:
		return fmt.Errorf("the password must have %d characters or more", minPassword)
	}
	return nil
}
