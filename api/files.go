package api

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/jackc/pgx/v5"

	"atelier/internal/media"
	"atelier/internal/picture"
	"atelier/schemas"
)

const (
	// linkLife is how long a signed link is good at least. Links made within
	// linkStep of each other are the same, so that browsers can keep what they
	// show; each is good for up to linkLife + linkStep.
	linkLife = time.Hour
	linkStep = 15 * time.Minute
	// cropShareMax is how much of an image's area an export may lose.
	cropShareMax = 0.25
	// exportVersion rises with every change of what an export's bytes are.
	exportVersion = 2
)

// Links makes the addresses of media: *media.Signer those of this server,
// *media.Bunny those of a CDN before the store. Each is good until it expires; a file
// name asks for a download.
type Links interface {
	Link(key string, expires time.Time, filename string) (string, error)
	// Origin is where they lead, as a browser names it; empty: to this server.
	Origin() string
}

// link is the signed address of an object.
func (s *Server) link(key, filename string) (string, error) {
	expires := s.now().Add(linkLife + linkStep).Truncate(linkStep)
	link, err := s.config.Links.Link(key, expires, filename)
	if err != nil {
		return "", fmt.Errorf("link to %s: %w", key, err)
	}
	return link, nil
}

// GetGenerationFile implements ServerInterface.
func (s *Server) GetGenerationFile(c *fiber.Ctx, generationID GenerationID, params GetGenerationFileParams) error {
	var placement *schemas.Placement
	if params.Placement != nil {
		known, ok := schemas.PlacementByID(*params.Placement)
		if !ok {
			return refuseField("placement", "is no placement of GET /v1/placements")
		}
		placement = &known
	}
	var g generationRow
	err := s.read(c, []string{galleries}, func(ctx context.Context, tx pgx.Tx) (err error) {
		g, err = generationByID(ctx, tx, generationID)
		return err
	})
	if err != nil {
		return err
	}
	if !g.succeeded() {
		return refuse(codeNotReady, "the image is "+g.status)
	}
	if g.gone(s.now()) {
		return refuseGone()
	}
	key, name := g.mediaKey, g.id.String()
	if placement != nil {
		if key, err = s.export(c.UserContext(), accountOf(c), g, *placement); err != nil {
			return err
		}
		name = placement.ID + "-" + name
	}
	link, err := s.link(key, name+key[strings.LastIndexByte(key, '.'):])
	if err != nil {
		return err
	}
	return c.Redirect(link, fiber.StatusFound)
}

// export returns the key of the file that a placement takes, which is made at the
// first time. The key follows from what goes in, so that nobody makes it twice.
func (s *Server) export(ctx context.Context, account string, g generationRow, p schemas.Placement) (string, error) {
	if lost := cropShare(g.image.Width, g.image.Height, p.Width, p.Height); lost > cropShareMax {
		return "", refuse(codeNeedsAdapt, fmt.Sprintf("%s would lose %.0f %% of the image; make one for it", p.ID, 100*lost))
	}
	recipe := fmt.Sprintf("%x %s %dx%d %d v%d", g.sha256, p.ID, p.Width, p.Height, p.BytesMax, exportVersion)
	key := media.ImageKey(account, g.id.String(), "export", sha256.Sum256([]byte(recipe)), "jpg")
	there, err := s.config.Media.Exists(ctx, key)
	if err != nil {
		return "", unavailable("the media store", err)
	}
	if there {
		return key, nil
	}
	// Those who ask for the same one wait for the same work; it outlives who began it.
	made := s.making.DoChan(key, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestTimeout)
		defer cancel()
		return nil, s.makeExport(ctx, key, g.mediaKey, p)
	})
	select {
	case result := <-made:
		return key, result.Err
	case <-ctx.Done():
		return "", unavailable("the exporter", ctx.Err())
	}
}

// cropShare is the share of the area that is cut off.
func cropShare(width, height, toWidth, toHeight int) float64 {
	have, want := float64(width)/float64(height), float64(toWidth)/float64(toHeight)
	return 1 - min(have, want)/max(have, want)
}

func (s *Server) makeExport(ctx context.Context, key, master string, p schemas.Placement) error {
	select {
	case s.exports <- struct{}{}:
		defer func() { <-s.exports }()
	case <-ctx.Done():
		return unavailable("the exporter", ctx.Err())
	}
	data, _, err := s.config.Media.Get(ctx, master)
	if err != nil {
		return unavailable("the media store", err)
	}
	img, _, err := picture.Decode(data)
	if err != nil {
		return fmt.Errorf("export of %s: %w", master, err)
	}
	file, err := picture.Export(img, picture.Target{Width: p.Width, Height: p.Height, BytesMax: p.BytesMax})
	if err != nil {
		return fmt.Errorf("export of %s: %w", master, err)
	}
	if err := s.config.Media.Put(ctx, key, file, picture.MIMEType(picture.JPEG)); err != nil {
		return unavailable("the media store", err)
	}
	return nil
}

// GetMedia implements ServerInterface.
func (s *Server) GetMedia(c *fiber.Ctx, account string, folder string, name string, _ GetMediaParams) error {
	key := "media/" + account + "/" + folder + "/" + name
	query := url.Values{}
	for k, v := range c.Context().QueryArgs().All() {
		query.Add(string(k), string(v))
	}
	filename, err := s.config.Signer.Verify(key, query, s.now())
	switch {
	case errors.Is(err, media.ErrExpired):
		return refuse(codeLinkExpired, "ask the API for a new one")
	case err != nil:
		return refuse(codeLinkInvalid, "it was not made by this server")
	}
	// Written and closed by the server after this handler; the write has its own time.
	object, attributes, err := s.config.Media.Open(context.WithoutCancel(c.UserContext()), key)
	switch {
	case errors.Is(err, media.ErrNotFound):
		return refuse(codeNotFound, "the picture is gone")
	case err != nil:
		return unavailable("the media store", err)
	}
	disposition := "inline"
	if filename != "" {
		disposition = `attachment; filename="` + filename + `"`
	}
	c.Set(fiber.HeaderContentType, attributes.MIMEType)
	c.Set(fiber.HeaderContentDisposition, disposition)
	c.Set(fiber.HeaderCacheControl, fmt.Sprintf("private, max-age=%d, immutable", int(linkLife.Seconds())))
	c.Set(fiber.HeaderContentSecurityPolicy, "default-src 'none'; sandbox")
	return c.SendStream(object, int(attributes.Bytes))
}
