package vault

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// MasterKeyBytes is the length of a master key.
const MasterKeyBytes = 32

// LoadMasterKey reads the master key that is kept at path, as one line of base64,
// and makes one where there is none (mode 0600). Who loses the file loses all
// that was sealed. Two processes that make it at once get the same one.
func LoadMasterKey(path string) ([]byte, error) {
	key, err := readMasterKey(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	if err := makeMasterKey(path); err != nil {
		return nil, fmt.Errorf("make the master key: %w", err)
	}
	return readMasterKey(path)
}

func readMasterKey(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the master key: %w", err)
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(key) != MasterKeyBytes {
		return nil, fmt.Errorf("the master key at %s is not %d bytes of base64", path, MasterKeyBytes)
	}
	return key, nil
}

// makeMasterKey writes the whole file under another name first, and links it only
// if there is none yet: a crash leaves no half key, and a race no second one.
func makeMasterKey(path string) error {
	key := make([]byte, MasterKeyBytes)
	rand.Read(key)
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(file.Name()) }()
	_, err = file.WriteString(base64.StdEncoding.EncodeToString(key) + "\n")
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := os.Link(file.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}
