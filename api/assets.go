package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"sync"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"atelier/internal/media"
	"atelier/internal/picture"
	"atelier/schemas"
)

const (
	// fieldBytesMax bounds a text field of a form.
	fieldBytesMax = 1 << 10
	// formBytesMore is what a form may have beside its file: its other fields,
	// their headers and boundaries.
	formBytesMore = 16 << 10
	// boundaryBytesMax is that of RFC 2046, 5.1.1.
	boundaryBytesMax = 70
	// assetNameRunesMax and assetNameBytesMax bound the name of an asset.
	assetNameRunesMax = 100
	assetNameBytesMax = 200
)

// assetRow is an asset as the read model has it.
type assetRow struct {
	id       uuid.UUID
	brand    *uuid.UUID // nil: all brands may use it
	kind     string
	name     string
	mediaKey string
	image    Image
	created  time.Time
}

const assetColumns = `asset_id, brand_id, kind, name, media_key, bytes, width, height, mime_type, created_at`

func scanAsset(row pgx.CollectableRow) (a assetRow, err error) {
	err = row.Scan(&a.id, &a.brand, &a.kind, &a.name, &a.mediaKey, &a.image.Bytes, &a.image.Width, &a.image.Height, &a.image.MimeType, &a.created)
	return a, err
}

// assetByID reads an asset. The error is asset_not_found.
func assetByID(ctx context.Context, tx pgx.Tx, id uuid.UUID) (assetRow, error) {
	rows, err := tx.Query(ctx, `SELECT `+assetColumns+` FROM brands_api.assets WHERE asset_id = $1`, id)
	if err != nil {
		return assetRow{}, err
	}
	a, err := pgx.CollectExactlyOneRow(rows, scanAsset)
	if errors.Is(err, pgx.ErrNoRows) {
		return a, refuse(schemas.CodeAssetNotFound, "the account has no such asset")
	}
	return a, err
}

func (s *Server) answerAsset(a assetRow) (Asset, error) {
	link, err := s.link(a.mediaKey, "")
	shown := Asset{ID: a.id, BrandID: a.brand, Kind: AssetKind(a.kind), Name: a.name, Image: a.image, CreatedAt: a.created}
	shown.Links.File = link
	return shown, err
}

// places counts what is under way on the node and takes long, such as uploads. It is
// safe for concurrent use.
type places struct {
	// totalMax and accountMax bound them on the node, and those of one account (count).
	totalMax, accountMax int

	mu         sync.Mutex
	total      int
	perAccount map[string]int
}

func newPlaces(totalMax, accountMax int) *places {
	return &places{totalMax: totalMax, accountMax: accountMax, perAccount: map[string]int{}}
}

func (u *places) enter(account string) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.total >= u.totalMax || u.perAccount[account] >= u.accountMax {
		return false
	}
	u.total++
	u.perAccount[account]++
	return true
}

func (u *places) leave(account string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.total--
	if u.perAccount[account]--; u.perAccount[account] == 0 {
		delete(u.perAccount, account)
	}
}

// upload is a form that adds an asset.
type upload struct {
	file   []byte
	fields map[string]string
}

// CreateAsset implements ServerInterface.
func (s *Server) CreateAsset(c *fiber.Ctx, _ CreateAssetParams) error {
	if !s.uploads.enter(accountOf(c)) {
		return &refusal{code: codeUnavailable, detail: "too many files are being uploaded; try again", retryAfter: retryAfter}
	}
	defer s.uploads.leave(accountOf(c))
	form, err := s.readUpload(c)
	if err != nil {
		return err
	}
	defer bound(c)() // a slow form has used up the time that the request had
	a, err := attemptOf(c, canonicalForm(form.fields, form.file))
	if err != nil {
		return err
	}
	wanted, err := s.wantedPosition(c)
	if err != nil {
		return err
	}
	var added AddedAsset // as built; empty where an earlier request was it
	return s.command(c, a, func(ctx context.Context, m schemas.CommandMetadata) (schemas.Command, error) {
		_, err := s.readAt(ctx, a.account, []string{brands}, wanted, func(ctx context.Context, tx pgx.Tx) error {
			return s.checkAsset(ctx, tx, form)
		})
		if err != nil {
			return nil, err
		}
		return s.addAssetCommand(ctx, m, form)
	}, func(o *settled) error {
		added, err = s.addedAsset(c.UserContext(), a.account, o)
		if err != nil {
			return err
		}
		c.Set(fiber.HeaderLocation, "/v1/assets/"+o.resourceID)
		return c.Status(fiber.StatusCreated).JSON(added)
	})
}

// readUpload reads the form as a stream, so that no more of it is ever in memory
// than it may have.
func (s *Server) readUpload(c *fiber.Ctx) (upload, error) {
	kind, params, err := mime.ParseMediaType(c.Get(fiber.HeaderContentType))
	if err != nil || kind != fiber.MIMEMultipartForm || params["boundary"] == "" {
		return upload{}, refuse(codeMediaType, "send multipart/form-data")
	}
	if len(params["boundary"]) > boundaryBytesMax {
		return upload{}, refuse(codeMalformed, fmt.Sprintf("a boundary has at most %d characters", boundaryBytesMax))
	}
	tooLarge := &refusal{code: codeBodyTooLarge, detail: fmt.Sprintf("a file has at most %d bytes, a form %d beside it", s.config.Limits.FileBytes, formBytesMore)}
	stream := bodyOf(c)
	if stream == nil {
		return upload{}, refuse(codeMalformed, "the form is empty")
	}
	if c.Context().Request.Header.ContentLength() > s.config.Limits.FileBytes+formBytesMore {
		passOver(c)
		return upload{}, tooLarge
	}
	form := upload{fields: map[string]string{}}
	// The file's bytes are added when it comes: the headers of a part, which are
	// read as a whole, must not be as long as a file.
	rest := &io.LimitedReader{R: stream, N: formBytesMore}
	parts := multipart.NewReader(rest, params["boundary"])
	for {
		part, err := parts.NextRawPart()
		switch {
		case errors.Is(err, io.EOF) && rest.N > 0:
			return form, form.validate()
		case err != nil:
			err = unreadable(err)
		default:
			if part.FormName() == "file" && form.file == nil {
				rest.N += int64(s.config.Limits.FileBytes) + 1
			}
			err = form.take(part, s.config.Limits.FileBytes, tooLarge)
		}
		if err != nil && rest.N <= 0 {
			err = tooLarge
		}
		if err != nil {
			return upload{}, err
		}
	}
}

// take reads one part of the form.
func (u *upload) take(part *multipart.Part, fileBytesMax int, tooLarge error) error {
	name, bytesMax := part.FormName(), fieldBytesMax
	switch _, twice := u.fields[name]; {
	case name == "file" && u.file != nil, twice:
		return refuseField("/"+escapePointer(name), "stands there twice")
	case name == "file":
		bytesMax = fileBytesMax
	case name != "kind" && name != "brand_id" && name != "name":
		return refuseField("/"+escapePointer(name), "is no field of this form")
	}
	value, err := io.ReadAll(io.LimitReader(part, int64(bytesMax)+1))
	switch {
	case err != nil:
		return unreadable(err)
	case name == "file" && len(value) > bytesMax:
		return tooLarge
	case name == "file":
		u.file = value
	case len(value) > bytesMax || !storable(string(value)):
		return refuseField("/"+name, fmt.Sprintf("is no text of at most %d bytes", bytesMax))
	default:
		u.fields[name] = string(value)
	}
	return nil
}

func (u *upload) validate() error {
	var broken []FieldProblem
	if len(u.file) == 0 {
		broken = append(broken, FieldProblem{Pointer: "/file", Detail: "is missing or empty"})
	}
	if !AssetKind(u.fields["kind"]).Valid() {
		broken = append(broken, FieldProblem{Pointer: "/kind", Detail: "must be logo, product or reference"})
	}
	if id, ok := u.fields["brand_id"]; ok && isUUID(id) != nil {
		broken = append(broken, FieldProblem{Pointer: "/brand_id", Detail: "is no UUID"})
	}
	if name := u.fields["name"]; len([]rune(name)) > assetNameRunesMax || len(name) > assetNameBytesMax {
		broken = append(broken, FieldProblem{Pointer: "/name", Detail: fmt.Sprintf("has more than %d characters or %d bytes", assetNameRunesMax, assetNameBytesMax)})
	}
	if len(broken) > 0 {
		return refuseFields(broken)
	}
	return nil
}

// checkAsset applies the rules that the read model knows.
func (s *Server) checkAsset(ctx context.Context, tx pgx.Tx, form upload) error {
	if id := form.fields["brand_id"]; id != "" {
		if _, err := brandByID(ctx, tx, uuidOf(id)); err != nil {
			return err
		}
	}
	var have int
	if err := tx.QueryRow(ctx, `SELECT count(*) FROM brands_api.assets`).Scan(&have); err != nil {
		return err
	}
	if have >= s.config.Limits.Assets {
		return limitReached("assets", s.config.Limits.Assets)
	}
	return nil
}

// addAssetCommand encodes the picture anew, stores it and says so. What is stored
// and then refused is garbage that the next upload of the same bytes uses.
func (s *Server) addAssetCommand(ctx context.Context, m schemas.CommandMetadata, form upload) (*schemas.AddAsset, error) {
	data, mimeType, width, height, err := picture.Reencode(form.file)
	switch {
	case errors.Is(err, picture.ErrFormat):
		return nil, &refusal{code: codeMediaType, detail: "the file is no PNG, JPEG or WebP", cause: err}
	case errors.Is(err, picture.ErrTooLarge), errors.Is(err, picture.ErrBroken):
		return nil, &refusal{code: codeImageRefused, detail: err.Error(), cause: err}
	case err != nil:
		return nil, err
	}
	sum := sha256.Sum256(data)
	key := media.ContentKey(m.AccountID, "asset", sum, media.Extension(mimeType))
	if err := s.config.Media.Put(ctx, key, data, mimeType); err != nil {
		return nil, unavailable("the media store", err)
	}
	name, err := s.config.Vault.Seal(ctx, m.AccountID, bytes.TrimSpace([]byte(form.fields["name"])))
	if err != nil {
		return nil, err
	}
	brand := form.fields["brand_id"]
	if brand != "" {
		brand = uuidOf(brand).String()
	}
	return &schemas.AddAsset{
		CommandMetadata: m, AssetID: schemas.DeriveID(m.ID, "asset"), BrandID: brand, Kind: form.fields["kind"], Name: name,
		Media: schemas.Media{Key: key, SHA256: sum[:], Bytes: int64(len(data)), Width: width, Height: height, MIMEType: mimeType},
	}, nil
}

// addedAsset is the asset of an outcome: from its event, or for an outcome of
// which only the record is left from the read model.
func (s *Server) addedAsset(ctx context.Context, account string, o *settled) (AddedAsset, error) {
	for _, e := range o.told {
		added, ok := e.(*schemas.AssetAdded)
		if !ok {
			continue
		}
		name, err := s.config.Vault.Open(ctx, account, added.Name)
		if err != nil {
			return AddedAsset{}, err
		}
		shown := AddedAsset{ID: uuidOf(added.AssetID), Kind: AssetKind(added.Kind), Name: string(name), Image: Image{
			Bytes: added.Media.Bytes, Width: added.Media.Width, Height: added.Media.Height, MimeType: added.Media.MIMEType,
		}}
		if added.BrandID != "" {
			id := uuidOf(added.BrandID)
			shown.BrandID = &id
		}
		return shown, nil
	}
	var row assetRow
	err := s.readOutcome(ctx, account, brands, o, func(ctx context.Context, tx pgx.Tx) (err error) {
		row, err = assetByID(ctx, tx, uuidOf(o.resourceID))
		return err
	})
	return AddedAsset{ID: row.id, BrandID: row.brand, Kind: AssetKind(row.kind), Name: row.name, Image: row.image}, err
}

// GetAsset implements ServerInterface.
func (s *Server) GetAsset(c *fiber.Ctx, assetID uuid.UUID, _ GetAssetParams) error {
	var row assetRow
	err := s.read(c, []string{brands}, func(ctx context.Context, tx pgx.Tx) (err error) {
		row, err = assetByID(ctx, tx, assetID)
		return err
	})
	if err != nil {
		return err
	}
	shown, err := s.answerAsset(row)
	if err != nil {
		return err
	}
	return c.JSON(shown)
}

// ListAssets implements ServerInterface.
func (s *Server) ListAssets(c *fiber.Ctx, params ListAssetsParams) error {
	const name = "assets"
	after, err := parseTimeCursor(params.Cursor, name)
	if err != nil {
		return err
	}
	limit := limitOf(params.Limit)
	var q query
	q.add(`SELECT ` + assetColumns + ` FROM brands_api.assets WHERE true`)
	if params.BrandID != nil {
		q.add(` AND brand_id = ?`, *params.BrandID)
	}
	if params.Kind != nil {
		q.add(` AND kind = ?`, string(*params.Kind))
	}
	if after != nil {
		q.add(` AND (created_at, asset_id) < (?, ?)`, after.at, after.id)
	}
	q.add(` ORDER BY created_at DESC, asset_id DESC LIMIT ?`, limit+1)
	found, err := list(s, c, brands, q, scanAsset)
	if err != nil {
		return err
	}
	found, next := page(found, limit, func(a assetRow) *string { return timeCursor{at: a.created, id: a.id}.cursor(name) })
	answer := AssetList{Items: []Asset{}, NextCursor: next}
	for _, row := range found {
		shown, err := s.answerAsset(row)
		if err != nil {
			return err
		}
		answer.Items = append(answer.Items, shown)
	}
	return c.JSON(answer)
}

// RemoveAsset implements ServerInterface.
func (s *Server) RemoveAsset(c *fiber.Ctx, assetID uuid.UUID, _ RemoveAssetParams) error {
	a, err := attemptOf(c, nil)
	if err != nil {
		return err
	}
	return s.command(c, a, func(_ context.Context, m schemas.CommandMetadata) (schemas.Command, error) {
		return &schemas.RemoveAsset{CommandMetadata: m, AssetID: assetID.String()}, nil
	}, noContent(c))
}
