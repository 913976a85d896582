package stack

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/gofrs/flock"

	"github.com/gensyn-monitor/gensyn-monitor/internal/settings"
)

// SecretFile is where the made secret is kept in the data directory.
const SecretFile = "shared_secret"

// keepSecret returns the secret of the data directory, and makes one the first time. The directory must be locked.
func keepSecret(dataDir string) (settings.Secret, error) {
	path := filepath.Join(dataDir, SecretFile)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		data = []byte(rand.Text() + "\n")
		err = writeWhole(path, data)
	}
	if err != nil {
		return "", fmt.Errorf("secret: %w", err)
	}
	secret := strings.TrimSpace(string(data))
	if secret == "" {
		return "", fmt.Errorf("secret: %s is empty: delete it and a new one is made", path)
	}
	return settings.Secret(secret), nil
}

// writeWhole leaves either the whole file or none, also when the machine stops in between.
func writeWhole(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".secret-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// lock keeps a second process out of the data directory. The system lets go of it when this process dies.
func lock(dataDir string) (*flock.Flock, error) {
	if err := os.MkdirAll(dataDir, 0o700); err != nil {
		return nil, fmt.Errorf("data directory: %w; set DATA_DIR to one that can be written", err)
	}
	l := flock.New(filepath.Join(dataDir, "lock"))
	held, err := l.TryLock()
	if err != nil {
		return nil, fmt.Errorf("data directory %s: %w; set DATA_DIR to one that can be written", dataDir, err)
	}
	if !held {
		return nil, fmt.Errorf("data directory %s is in use by another gensyn-monitor: stop it, or set DATA_DIR to another directory", dataDir)
	}
	return l, nil
}
