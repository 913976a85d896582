//go:build unix

package postgrestest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// account is the user that the server runs as. The nil account is the user of this process.
type account struct {
	name     string
	uid, gid int
}

// unprivileged finds a user for the server when this process is root, whom Postgres refuses.
func unprivileged() (*account, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.Atoi(u.Uid)
		if err != nil {
			return nil, err
		}
		gid, err := strconv.Atoi(u.Gid)
		return &account{name: name, uid: uid, gid: gid}, err
	}
	return nil, errors.New("postgres does not run as root, and there is neither a user postgres nor nobody")
}

// own gives a file or folder to the account, which must be able to reach it.
func (a *account) own(path string) error {
	if a == nil {
		return nil
	}
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil {
			return err
		}
		if owner, ok := info.Sys().(*syscall.Stat_t); info.Mode()&0o001 == 0 && (!ok || int(owner.Uid) != a.uid) {
			return fmt.Errorf("user %s cannot enter %s: set TMPDIR to a folder that all may enter", a.name, dir)
		}
		if dir == filepath.Dir(dir) {
			break
		}
	}
	return os.Chown(path, a.uid, a.gid)
}

// apply makes the command run as the account, and keeps the terminal's Ctrl-C from it: whoever started it stops it.
func (a *account) apply(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if a != nil {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid)}
	}
}
