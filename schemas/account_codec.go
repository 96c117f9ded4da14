package schemas

import (
	"time"

	"github.com/hamba/avro/v2"
)

// An account is read and written with nearly every command, and is mostly IDs and
// hashes, which the library sets and reads by reflection one byte at a time: that
// was half of what a decider did. So an account knows its own way. The bytes are
// the library's, as a test sees to.

// direct is a record that reads and writes itself under today's schema.
type direct interface {
	writeAvro(*avro.Writer)
	readAvro(*avro.Reader)
}

// arrayBlockMax is the library's own number of items a block.
const arrayBlockMax = 100

func (a *Account) writeAvro(w *avro.Writer) {
	w.WriteInt(int32(a.FoldVersion))
	w.WriteString(a.AccountID)
	w.WriteInt(int32(a.CommandGeneration))
	w.WriteLong(a.NextCommandOffset)
	w.WriteLong(a.LastAt.UnixMicro())
	w.WriteBool(a.Opened)
	w.WriteBool(a.WelcomeClaimed)
	writeArray(w, a.Blocks, writeAccountBlock)
	writeArray(w, a.Batches, writeAccountBatch)
	writeArray(w, a.Brands, func(w *avro.Writer, b *AccountBrand) {
		writeFixed(w, &b.ID)
		w.WriteInt(int32(b.Version))
		writeFixed(w, &b.Hash)
		w.WriteBool(b.Archived)
	})
	writeArray(w, a.Assets, func(w *avro.Writer, a *AccountAsset) {
		writeFixed(w, &a.ID)
		writeFixed(w, &a.Hash)
	})
	writeArray(w, a.Keys, func(w *avro.Writer, k *AccountKey) {
		writeFixed(w, &k.Key)
		writeFixed(w, &k.RequestHash)
		writeFixed(w, &k.CommandID)
	})
	writeArray(w, a.Spend, func(w *avro.Writer, s *AccountSpend) {
		w.WriteLong(s.Hour)
		w.WriteLong(s.UnpaidMicros)
		w.WriteLong(s.CapturedCredits)
	})
}

func writeAccountBlock(w *avro.Writer, b *AccountBlock) {
	writeFixed(w, &b.ID)
	w.WriteString(b.Source)
	w.WriteInt(int32(b.Priority))
	w.WriteLong(b.Credits)
	if b.ExpiresAt == nil {
		w.WriteInt(0)
		return
	}
	w.WriteInt(1)
	w.WriteLong(b.ExpiresAt.UnixMicro())
}

func writeAccountBatch(w *avro.Writer, b *AccountBatch) {
	writeFixed(w, &b.ID)
	w.WriteLong(b.PerImage)
	w.WriteLong(b.Deadline.UnixMicro())
	writeArray(w, b.Holds, func(w *avro.Writer, h *AccountHold) {
		writeFixed(w, &h.BlockID)
		w.WriteLong(h.Credits)
	})
	writeArray(w, b.Generations, writeFixed)
}

func writeFixed(w *avro.Writer, id *[16]byte) { _, _ = w.Write(id[:]) } // into memory: cannot fail

func writeArray[T any](w *avro.Writer, items []T, one func(*avro.Writer, *T)) {
	for len(items) > 0 {
		block := items[:min(len(items), arrayBlockMax)]
		items = items[len(block):]
		w.WriteBlockCB(func(w *avro.Writer) int64 {
			for i := range block {
				one(w, &block[i])
			}
			return int64(len(block))
		})
	}
	w.WriteBlockHeader(0, 0)
}

func (a *Account) readAvro(r *avro.Reader) {
	a.FoldVersion = int(r.ReadInt())
	a.AccountID = r.ReadString()
	a.CommandGeneration = int(r.ReadInt())
	a.NextCommandOffset = r.ReadLong()
	a.LastAt = readTime(r)
	a.Opened = r.ReadBool()
	a.WelcomeClaimed = r.ReadBool()
	a.Blocks = readArray(r, readAccountBlock)
	a.Batches = readArray(r, readAccountBatch)
	a.Brands = readArray(r, func(r *avro.Reader, b *AccountBrand) {
		r.Read(b.ID[:])
		b.Version = int(r.ReadInt())
		r.Read(b.Hash[:])
		b.Archived = r.ReadBool()
	})
	a.Assets = readArray(r, func(r *avro.Reader, a *AccountAsset) {
		r.Read(a.ID[:])
		r.Read(a.Hash[:])
	})
	a.Keys = readArray(r, func(r *avro.Reader, k *AccountKey) {
		r.Read(k.Key[:])
		r.Read(k.RequestHash[:])
		r.Read(k.CommandID[:])
	})
	a.Spend = readArray(r, func(r *avro.Reader, s *AccountSpend) {
		s.Hour = r.ReadLong()
		s.UnpaidMicros = r.ReadLong()
		s.CapturedCredits = r.ReadLong()
	})
}

func readAccountBlock(r *avro.Reader, b *AccountBlock) {
	r.Read(b.ID[:])
	b.Source = r.ReadString()
	b.Priority = int(r.ReadInt())
	b.Credits = r.ReadLong()
	switch r.ReadInt() {
	case 0:
	case 1:
		at := readTime(r)
		b.ExpiresAt = &at
	default:
		r.ReportError("read union", "expires_at is neither null nor a time")
	}
}

func readAccountBatch(r *avro.Reader, b *AccountBatch) {
	r.Read(b.ID[:])
	b.PerImage = r.ReadLong()
	b.Deadline = readTime(r)
	b.Holds = readArray(r, func(r *avro.Reader, h *AccountHold) {
		r.Read(h.BlockID[:])
		h.Credits = r.ReadLong()
	})
	b.Generations = readArray(r, func(r *avro.Reader, id *[16]byte) { r.Read(id[:]) })
}

func readTime(r *avro.Reader) time.Time { return time.UnixMicro(r.ReadLong()).UTC() }

// readArray reads at most itemsMax items, and nothing after an error: a few bytes
// can claim as many as they like.
func readArray[T any](r *avro.Reader, one func(*avro.Reader, *T)) []T {
	items := []T{}
	for {
		n, _ := r.ReadBlockHeader()
		if n == 0 || r.Error != nil {
			return items
		}
		if n < 0 || n > int64(itemsMax-len(items)) {
			r.ReportError("read array", "it has too many items")
			return items
		}
		from := len(items)
		items = append(items, make([]T, n)...)
		for i := from; i < len(items) && r.Error == nil; i++ {
			one(r, &items[i])
		}
	}
}
