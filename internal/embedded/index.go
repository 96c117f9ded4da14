package embedded

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
)

// kfake's files: a segment is record batches as they are on the wire, its index an entry for
// each of version (1 byte), checksum (1), epoch (4), timestamp (8) and whether the batch is of
// a transaction (1).
const (
	indexEntryBytes   = 15
	indexEntryVersion = 1

	batchLengthAt      = 8 // counts what follows it
	batchEpochAt       = 12
	batchAttributesAt  = 21
	batchHeadBytes     = 23 // up to the attributes, and with them
	batchTransactional = 0x10
	batchControl       = 0x20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// reindex writes the index of every segment anew that has more batches than entries. kfake
// writes a batch and then its entry, and from the entries alone it knows at the next start
// which batches are of a transaction. A kill in between left one that counted as none, and
// every later entry stood for the batch before it: what had been aborted became visible.
func reindex(dataDir string) error {
	partitions := filepath.Join(dataDir, partitionsDir)
	directories, err := os.ReadDir(partitions)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for _, directory := range directories {
		files, err := os.ReadDir(filepath.Join(partitions, directory.Name()))
		if err != nil {
			return err
		}
		for _, file := range files {
			if name, ok := strings.CutSuffix(file.Name(), ".dat"); ok {
				if err := reindexSegment(filepath.Join(partitions, directory.Name(), name)); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// reindexSegment does it for one, by its path without an ending, and cuts off half a batch,
// behind which kfake would write where it cannot. The timestamp is not kept: kfake finds it
// anew when it starts.
func reindexSegment(path string) error {
	segment, err := os.ReadFile(path + ".dat")
	if err != nil {
		return err
	}
	old, err := os.ReadFile(path + ".idx")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	var index []byte
	whole := int64(0)
	for len(segment) >= batchHeadBytes {
		size := batchEpochAt + int64(binary.BigEndian.Uint32(segment[batchLengthAt:]))
		if size < batchHeadBytes || size > int64(len(segment)) {
			break
		}
		var entry [indexEntryBytes]byte
		entry[0] = indexEntryVersion
		binary.LittleEndian.PutUint32(entry[2:], binary.BigEndian.Uint32(segment[batchEpochAt:]))
		if binary.BigEndian.Uint16(segment[batchAttributesAt:])&(batchTransactional|batchControl) == batchTransactional {
			entry[indexEntryBytes-1] = 1
		}
		entry[1] = byte(crc32.Checksum(entry[2:], castagnoli))
		index = append(index, entry[:]...)
		segment = segment[size:]
		whole += size
	}
	if len(segment) > 0 {
		if err := os.Truncate(path+".dat", whole); err != nil {
			return err
		}
	}
	if len(old) >= len(index) {
		return nil
	}
	if err := os.WriteFile(path+".idx.tmp", index, 0o644); err != nil {
		return err
	}
	return os.Rename(path+".idx.tmp", path+".idx")
}
