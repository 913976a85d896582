package postgrestest

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
)

// ErrNotInstalled means that this machine has no Postgres server.
var ErrNotInstalled = errors.New("initdb and postgres are not installed; on Debian: apt-get install postgresql")

// findPrograms returns the folder of initdb and postgres: that of the initdb in the path, or Debian's newest.
func findPrograms() (string, error) {
	inPath, err := exec.LookPath("initdb")
	if err != nil {
		inPath = ""
	}
	return findIn(inPath, "/usr/lib/postgresql/*/bin")
}

// findIn looks beside an initdb, if there is one, and then in the folders of a pattern, newest version first.
func findIn(initdb, pattern string) (string, error) {
	folders, err := filepath.Glob(pattern)
	if err != nil {
		return "", err
	}
	slices.SortFunc(folders, func(a, b string) int { return version(b) - version(a) })
	// A link may stand alone in its folder.
	if target, err := filepath.EvalSymlinks(initdb); err == nil {
		folders = slices.Insert(folders, 0, filepath.Dir(target))
	}
	for _, dir := range folders {
		if executable(filepath.Join(dir, "initdb")) && executable(filepath.Join(dir, "postgres")) {
			return dir, nil
		}
	}
	return "", ErrNotInstalled
}

// version reads the 15 of /usr/lib/postgresql/15/bin; 0 when it is no number.
func version(dir string) int {
	v, err := strconv.Atoi(filepath.Base(filepath.Dir(dir)))
	if err != nil {
		return 0
	}
	return v
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}
