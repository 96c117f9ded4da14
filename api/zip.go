package api

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"hash/crc32"
	"strconv"
	"strings"
	"time"
)

// manifestFile is what the manifest says of a file.
type manifestFile struct {
	File         string `json:"file"`
	Status       string `json:"status"`
	Reason       string `json:"reason"`
	GenerationID string `json:"generation_id"`
	BatchID      string `json:"batch_id"`
	Placement    string `json:"placement"`
	Overlay      string `json:"overlay"`
	Width        int    `json:"width"`
	Height       int    `json:"height"`
	Bytes        int    `json:"bytes"`
}

func (s *Server) writeZIP(ctx context.Context, w *pacedWriter, account string, t ticket, files []file) error {
	archive := zip.NewWriter(w)
	var manifest []manifestFile
	numbers, taken := map[string]int{}, map[string]bool{}
	for _, f := range files {
		shown, _ := f.layout.in(f.placement)
		line := manifestFile{
			Status: fileIncluded, GenerationID: f.generation.id.String(), BatchID: f.generation.batch.String(), Placement: f.placement.ID,
			Overlay: string(shown), Width: f.placement.Width, Height: f.placement.Height,
		}
		data, err := s.fileData(ctx, account, f)
		var unfit *refusal
		switch {
		case errors.As(err, &unfit):
			line.Status, line.Reason = fileSkipped, unfit.detail
		case err != nil:
			s.config.Log.Error().Err(err).Str("account_id", account).Str("generation_id", line.GenerationID).Msg("file of a zip failed")
			line.Status, line.Reason = fileFailed, "it could not be made; ask again"
		default:
			numbers[f.placement.ID]++
			name := named(t.Naming, f.generation, f.design.kit.Name, f.placement, numbers[f.placement.ID])
			line.File, line.Bytes = uniqueName(f.placement.ID+"/"+name, taken)+".jpg", len(data)
			if err := writeEntry(archive, line.File, *f.generation.finished, data); err != nil {
				return err
			}
		}
		manifest = append(manifest, line)
	}
	if err := writeManifest(archive, s.now(), t.ID, manifest); err != nil {
		return err
	}
	return archive.Close()
}

// fileData is the export of a file. A refusal says why there is none.
func (s *Server) fileData(ctx context.Context, account string, f file) ([]byte, error) {
	if f.skipped != "" {
		return nil, refuse(f.code, f.skipped)
	}
	key, _, err := s.export(ctx, account, f.generation, f.design, f.layout, f.placement)
	if err != nil {
		return nil, err
	}
	data, _, err := s.config.Media.Get(ctx, key)
	return data, err
}

// writeEntry stores a file as it is: a JPEG does not get smaller. Size and sum stand
// before it, so that a reader needs no second look.
func writeEntry(archive *zip.Writer, name string, modified time.Time, data []byte) error {
	w, err := archive.CreateRaw(&zip.FileHeader{
		Name: name, Method: zip.Store, Modified: modified.UTC(), CRC32: crc32.ChecksumIEEE(data),
		CompressedSize64: uint64(len(data)), UncompressedSize64: uint64(len(data)), Flags: 0x800, // names are UTF-8
	})
	if err != nil {
		return err
	}
	_, err = w.Write(data)
	return err
}

var manifestColumns = []string{"file", "status", "reason", "generation_id", "batch_id", "placement", "overlay", "width", "height", "bytes"}

func writeManifest(archive *zip.Writer, now time.Time, id string, files []manifestFile) error {
	document, err := json.MarshalIndent(struct {
		Export string         `json:"export"`
		MadeAt time.Time      `json:"made_at"`
		Files  []manifestFile `json:"files"`
	}{id, now.UTC(), files}, "", "  ")
	if err != nil {
		return err
	}
	var table bytes.Buffer
	lines := csv.NewWriter(&table)
	_ = lines.Write(manifestColumns) // into memory
	for _, f := range files {
		_ = lines.Write([]string{
			cell(f.File), f.Status, cell(strings.ToValidUTF8(f.Reason, "?")), f.GenerationID, f.BatchID, f.Placement, f.Overlay,
			strconv.Itoa(f.Width), strconv.Itoa(f.Height), strconv.Itoa(f.Bytes),
		})
	}
	lines.Flush()
	if err := lines.Error(); err != nil {
		return err
	}
	if err := writeEntry(archive, "manifest.csv", now, table.Bytes()); err != nil {
		return err
	}
	return writeEntry(archive, "manifest.json", now, document)
}
