package api

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"atelier/internal/picture/overlay"
	"atelier/internal/vault"
	"atelier/projections"
	"atelier/schemas"
)

const (
	// exportedMax bounds the files of one ZIP (count), some 100 MB.
	exportedMax = 100
	// zipsAtOnceMax bounds the ZIPs that a node sends at a time (count): each has one
	// export in memory.
	zipsAtOnceMax = 8
	// zipsPerAccountMax is how many of them may be one account's (count).
	zipsPerAccountMax = 2
	// zipTimeout bounds the making of one ZIP, a slow reader's time included.
	zipTimeout = 15 * time.Minute

	exportFile = "file"
	exportZIP  = "zip"
)

// What became of a file, as the manifest says it.
const (
	fileIncluded = "included"
	fileSkipped  = "skipped"
	fileFailed   = "failed"
)

// ticket is what a ZIP is made from. It is the address itself, sealed under the
// account's key: nobody else can make or read one, and nothing is kept here that
// would have to be cleared away. The images are read when the ZIP is asked for.
type ticket struct {
	// Kind keeps other sealed texts of the account from being taken for a ticket.
	Kind    string    `json:"kind"`
	ID      string    `json:"id"`
	Expires time.Time `json:"expires"`
	// Generations are the 16 bytes of each ID.
	Generations []byte   `json:"generations"`
	Placements  []string `json:"placements"`
	Naming      string   `json:"naming"`
	Overlay     *Overlay `json:"overlay,omitempty"`
}

const ticketKind = "atelier.export.v1"

// file is one image in one placement of a ZIP.
type file struct {
	generation generationRow
	design     design
	layout     Layout
	placement  schemas.Placement
	// at is the image's place in the request.
	at int
	// skipped says why it cannot be given; empty: it can.
	skipped string
	// code is the problem's, where it is skipped.
	code string
}

// CreateExport implements ServerInterface.
func (s *Server) CreateExport(c *fiber.Ctx, _ CreateExportParams) error {
	var body CreateExport
	canonical, err := s.decode(c, "CreateExport", &body)
	if err != nil {
		return err
	}
	t, broken := ticketOf(body)
	if len(broken) > 0 {
		return refuseFields(broken)
	}
	a, err := attemptOf(c, canonical)
	if err != nil {
		return err
	}
	var files []file
	err = s.read(c, []string{galleries}, func(ctx context.Context, tx pgx.Tx) (err error) {
		files, err = t.files(ctx, tx, s.now())
		return err
	})
	if err != nil {
		return err
	}
	if err := refuseUnfit(files, body.SkipUnfit != nil && *body.SkipUnfit); err != nil {
		return err
	}
	var images []schemas.ExportedImage
	for _, f := range files {
		if f.skipped == "" {
			images = append(images, exported(f.generation, f.placement))
		}
	}
	return s.command(c, a, func(_ context.Context, m schemas.CommandMetadata) (schemas.Command, error) {
		return &schemas.RecordExport{CommandMetadata: m, Kind: exportZIP, Images: images}, nil
	}, func(o *settled) error {
		t.Kind, t.ID, t.Expires = ticketKind, o.commandID, s.now().Add(linkLife).UTC().Truncate(time.Second)
		url, err := s.sealTicket(c.UserContext(), a.account, t)
		if err != nil {
			return err
		}
		c.Set(fiber.HeaderLocation, url)
		return c.Status(fiber.StatusCreated).JSON(Export{
			ID: uuidOf(t.ID), URL: url, ExpiresAt: t.Expires, Files: len(images), Skipped: len(files) - len(images),
		})
	})
}

// ticketOf reads what a request says by itself, and lists what breaks a rule.
func ticketOf(body CreateExport) (t ticket, broken []FieldProblem) {
	t = ticket{Naming: namingDefault, Overlay: body.Overlay, Placements: []string{}}
	for _, id := range body.Generations {
		t.Generations = append(t.Generations, id[:]...)
	}
	if body.Placements != nil {
		t.Placements = *body.Placements
	}
	for i, id := range t.Placements {
		if _, ok := schemas.PlacementByID(id); !ok {
			broken = append(broken, FieldProblem{Pointer: fmt.Sprintf("/placements/%d", i), Detail: "is no placement of GET /v1/placements"})
		}
	}
	if body.Naming != nil {
		t.Naming = *body.Naming
	}
	if wrong := brokenNaming(t.Naming); wrong != "" {
		broken = append(broken, FieldProblem{Pointer: "/naming", Detail: wrong})
	}
	if n := len(body.Generations) * max(1, len(t.Placements)); n > exportedMax {
		broken = append(broken, FieldProblem{Pointer: "/generations", Detail: fmt.Sprintf("images times placements is %d, at most %d", n, exportedMax)})
	}
	return t, broken
}

// files reads the images of a ticket and lists its files, by placement and then as
// they were asked for.
func (t ticket) files(ctx context.Context, tx pgx.Tx, now time.Time) (files []file, err error) {
	var ids []uuid.UUID
	for i := 0; i+16 <= len(t.Generations); i += 16 {
		ids = append(ids, uuid.UUID(t.Generations[i:i+16]))
	}
	rows, err := tx.Query(ctx, `SELECT `+generationColumns+` FROM `+generationTables+` WHERE g.generation_id = ANY ($1)`, ids)
	if err != nil {
		return nil, err
	}
	found, err := pgx.CollectRows(rows, scanGeneration)
	if err != nil {
		return nil, err
	}
	generations := map[uuid.UUID]generationRow{}
	for _, g := range found {
		generations[g.id] = g
	}
	made, err := designs(ctx, tx, ids...)
	if err != nil {
		return nil, err
	}
	for _, p := range schemas.Placements {
		for i, id := range ids {
			g, known := generations[id]
			if !known {
				pointer := fmt.Sprintf("/generations/%d", i)
				return nil, &refusal{code: codeNotFound, detail: pointer + ": the account has no such image",
					fields: []FieldProblem{{Pointer: pointer, Detail: "the account has no such image"}}}
			}
			if t.wants(g, p) {
				files = append(files, newFile(i, g, made[id], p, t.Overlay, now))
			}
		}
	}
	return files, nil
}

// wants says whether an image is asked for in a placement.
func (t ticket) wants(g generationRow, p schemas.Placement) bool {
	if len(t.Placements) == 0 {
		return g.placement == p.ID
	}
	for _, id := range t.Placements {
		if id == p.ID {
			return true
		}
	}
	return false
}

// newFile says of a file what can be said without the picture.
func newFile(at int, g generationRow, d design, p schemas.Placement, shown *Overlay, now time.Time) file {
	f := file{generation: g, design: d, placement: p, at: at, layout: d.layout()}
	f.layout.override(shown)
	if !g.succeeded() {
		f.code, f.skipped = codeNotReady, "it has no image: it is "+g.status
		return f
	}
	if g.gone(now) {
		gone := refuseGone()
		f.code, f.skipped = gone.code, gone.detail
		return f
	}
	var unfit *refusal
	if err := fitsInto(g, p); errors.As(err, &unfit) {
		f.code, f.skipped = unfit.code, unfit.detail
		return f
	}
	if shown, position := f.layout.in(p); shown == OverlayBrand {
		if problems := overlay.Check(d.setting(f.layout, position, nil), frameOf(p)); len(problems) > 0 {
			f.code, f.skipped = codeLayoutRefused, fmt.Sprintf("%s: the %s %s", p.ID, problems[0].Field, problems[0].Detail)
		}
	}
	return f
}

// refuseUnfit names every image that cannot give a placement; with skip only where
// nothing is left.
func refuseUnfit(files []file, skip bool) error {
	r := &refusal{}
	left := 0
	for _, f := range files {
		if f.skipped == "" {
			left++
			continue
		}
		r.fields = append(r.fields, FieldProblem{Pointer: fmt.Sprintf("/generations/%d", f.at), Detail: f.skipped})
		// One that is not there at all weighs more than one that does not fit.
		if r.code == "" || f.code == codeNotReady {
			r.code = f.code
		}
	}
	if len(r.fields) == 0 || skip && left > 0 {
		return nil
	}
	r.detail = r.fields[0].Pointer + ": " + r.fields[0].Detail
	r.figures = map[string]int64{"files": int64(left)}
	return r
}

func (s *Server) sealTicket(ctx context.Context, account string, t ticket) (url string, err error) {
	document, err := json.Marshal(t)
	if err != nil {
		return "", fmt.Errorf("encode ticket: %w", err)
	}
	sealed, err := s.config.Vault.Seal(ctx, account, document)
	if err != nil {
		return "", err
	}
	return "/exports/" + account + "/" + base64.RawURLEncoding.EncodeToString(sealed), nil
}

// openTicket reads what sealTicket wrote. The error is media_link_invalid or
// media_link_expired.
func (s *Server) openTicket(ctx context.Context, account, text string) (t ticket, err error) {
	invalid := refuse(codeLinkInvalid, "it was not made by this server")
	id, err := uuid.Parse(account)
	if err != nil || id.String() != account {
		return t, invalid
	}
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return t, invalid
	}
	document, err := s.config.Vault.Open(ctx, account, sealed)
	switch {
	case errors.Is(err, vault.ErrTampered):
		return t, invalid
	case err != nil:
		return t, err
	}
	if json.Unmarshal(document, &t) != nil || t.Kind != ticketKind { // erased, or another text
		return t, invalid
	}
	if !s.now().Before(t.Expires) {
		return t, refuse(codeLinkExpired, "ask the API for a new one")
	}
	return t, nil
}

// GetExport implements ServerInterface.
func (s *Server) GetExport(c *fiber.Ctx, account string, text string) error {
	ctx := c.UserContext()
	t, err := s.openTicket(ctx, account, text)
	if err != nil {
		return err
	}
	var files []file
	err = projections.Read(ctx, s.config.Pool, account, func(tx pgx.Tx) (err error) {
		files, err = t.files(ctx, tx, s.now())
		return err
	})
	if err != nil {
		return err
	}
	if !s.zips.enter(account) {
		return &refusal{code: codeUnavailable, detail: "many ZIPs are being sent; try again", retryAfter: retryAfter}
	}
	c.Set(fiber.HeaderContentType, "application/zip")
	c.Set(fiber.HeaderContentDisposition, `attachment; filename="atelier-`+s.now().UTC().Format("2006-01-02")+`.zip"`)
	c.Set(fiber.HeaderContentSecurityPolicy, "default-src 'none'; sandbox")
	conn, correlation := c.Context().Conn(), correlationOf(c)
	c.Context().SetBodyStreamWriter(func(w *bufio.Writer) {
		defer s.zips.leave(account)
		if err := s.sendZIP(conn, w, account, t, files); err != nil {
			// The connection ends without the end of the body, so that nobody takes the
			// part for the whole.
			s.log(correlation).Debug().Err(err).Str("account_id", account).Msg("zip broke off")
			_ = conn.Close()
		}
	})
	return nil
}

// sendZIP writes a ZIP to a client. It ends with the first write that fails: the
// client has left. A panic must not get out of it: it would end the process.
func (s *Server) sendZIP(conn net.Conn, w *bufio.Writer, account string, t ticket, files []file) (err error) {
	defer func() {
		if panicked := recover(); panicked != nil {
			s.config.Log.Error().Interface("panic", panicked).Msg("zip panicked")
			err = errStreamFailed
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), zipTimeout)
	defer cancel()
	return s.writeZIP(ctx, &pacedWriter{conn: conn, w: w}, account, t, files)
}

// pacedWriter gives the client writeTimeout for each write, instead of for all.
type pacedWriter struct {
	conn net.Conn
	w    *bufio.Writer
}

// Write implements io.Writer. What is written is on its way when it returns.
func (p *pacedWriter) Write(b []byte) (int, error) {
	if err := p.conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return 0, err
	}
	n, err := p.w.Write(b)
	if err == nil {
		err = p.w.Flush()
	}
	return n, err
}
