package embedded

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"os"
	"path/filepath"
)

// kfake keeps groups and producers as logs of entries: length (4 bytes, of what follows the
// checksum), checksum (4), version (2) and the entry, all little endian.
const (
	entrySizeBytes    = 4
	entryHeadBytes    = 8 // up to the version, which counts as the entry's
	entryVersionBytes = 2
)

// cutTorn cuts off the groups' and the producers' logs what was half written. kfake skips it,
// and appends behind it: the start after would read none of that, and take offsets and epochs
// from before.
func cutTorn(dataDir string) error {
	for _, name := range []string{"groups.log", "pids.log"} {
		path := filepath.Join(dataDir, name)
		raw, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if whole := wholeEntries(raw); whole < len(raw) {
			if err := os.Truncate(path, int64(whole)); err != nil {
				return err
			}
		}
	}
	return nil
}

// wholeEntries counts the bytes of the entries that are whole, up to the first that is not.
func wholeEntries(raw []byte) int {
	whole := 0
	for len(raw)-whole >= entryHeadBytes {
		head, rest := raw[whole:whole+entryHeadBytes], raw[whole+entryHeadBytes:]
		size := int64(binary.LittleEndian.Uint32(head))
		if size < entryVersionBytes || size > int64(len(rest)) ||
			crc32.Checksum(rest[:size], castagnoli) != binary.LittleEndian.Uint32(head[entrySizeBytes:]) {
			break
		}
		whole += entryHeadBytes + int(size)
	}
	return whole
}
