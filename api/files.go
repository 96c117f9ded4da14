package api

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/jackc/pgx/v5"

	"atelier/internal/media"
	"atelier/internal/picture"
	"atelier/internal/picture/overlay"
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
	if params.Overlay != nil && placement == nil {
		return refuseField("overlay", "needs a placement: the image as it was made has none")
	}
	var g generationRow
	var d design
	err := s.read(c, []string{galleries}, func(ctx context.Context, tx pgx.Tx) (err error) {
		g, d, err = designOf(ctx, tx, generationID, s.now())
		return err
	})
	if err != nil {
		return err
	}
	key, name := g.mediaKey, g.id.String()
	if placement != nil {
		l := d.layout()
		l.override(params.Overlay)
		var made bool
		if key, made, err = s.export(c.UserContext(), accountOf(c), g, d, l, *placement); err != nil {
			return err
		}
		if made {
			s.recordFile(c.UserContext(), accountOf(c), correlationOf(c), exported(g, *placement))
		}
		name = placement.ID + "-" + name
	}
	link, err := s.link(key, name+key[strings.LastIndexByte(key, '.'):])
	if err != nil {
		return err
	}
	return c.Redirect(link, fiber.StatusFound)
}

// override makes a layout have an overlay, or none, in every placement.
func (l *Layout) override(shown *Overlay) {
	if shown == nil {
		return
	}
	l.Overlay = shown
	if l.Placements == nil {
		return
	}
	others := maps.Clone(*l.Placements)
	for id, o := range others {
		o.Overlay = nil
		others[id] = o
	}
	l.Placements = &others
}

// fitsInto refuses a placement that would lose too much of the image.
func fitsInto(g generationRow, p schemas.Placement) error {
	if lost := cropShare(g.image.Width, g.image.Height, p.Width, p.Height); lost > cropShareMax {
		return refuse(codeNeedsAdapt, fmt.Sprintf("%s would lose %.0f %% of the image; make one for it", p.ID, 100*lost))
	}
	return nil
}

// export returns the key of the file that a placement takes, with what the filled
// layout sets over it. It is made at the first time, and made says so. The key
// follows from what goes in, so that nobody makes it twice.
func (s *Server) export(ctx context.Context, account string, g generationRow, d design, l Layout, p schemas.Placement) (key string, made bool, err error) {
	if err := fitsInto(g, p); err != nil {
		return "", false, err
	}
	if key, err = exportKey(account, g, d, l, p); err != nil {
		return "", false, err
	}
	there, err := s.config.Media.Exists(ctx, key)
	if err != nil {
		return "", false, unavailable("the media store", err)
	}
	if there {
		return key, false, nil
	}
	// Those who ask for the same one wait for the same work; it outlives who began it.
	result := s.making.DoChan(key, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestTimeout)
		defer cancel()
		return nil, s.makeExport(ctx, key, g, d, l, p)
	})
	select {
	case done := <-result:
		return key, true, done.Err
	case <-ctx.Done():
		return "", false, unavailable("the exporter", ctx.Err())
	}
}

// exportKey is the key of an export: of everything that its pixels follow from.
func exportKey(account string, g generationRow, d design, l Layout, p schemas.Placement) (string, error) {
	recipe := struct {
		Export, Overlay int
		Master          []byte
		Placement       schemas.Placement
		Layout          *overlay.Layout
		Logo            string
	}{Export: exportVersion, Overlay: overlay.Version, Master: g.sha256, Placement: p}
	if shown, position := l.in(p); shown == OverlayBrand {
		set := d.setting(l, position, nil)
		recipe.Layout, recipe.Logo = &set, d.logoOf(l)
	}
	document, err := json.Marshal(recipe)
	if err != nil {
		return "", fmt.Errorf("recipe of an export: %w", err)
	}
	return media.ImageKey(account, g.id.String(), "export", sha256.Sum256(document), "jpg"), nil
}

// cropShare is the share of the area that is cut off.
func cropShare(width, height, toWidth, toHeight int) float64 {
	have, want := float64(width)/float64(height), float64(toWidth)/float64(toHeight)
	return 1 - min(have, want)/max(have, want)
}

// errNoProvenance is an export that does not say that a model made it. It is not
// delivered: the EU's AI Act, article 50, wants the mark.
var errNoProvenance = errors.New("export has no digital source type")

func (s *Server) makeExport(ctx context.Context, key string, g generationRow, d design, l Layout, p schemas.Placement) error {
	release, err := s.holdExport(ctx)
	if err != nil {
		return err
	}
	defer release()
	shown, _ := l.in(p)
	logoKey := ""
	if shown == OverlayBrand {
		logoKey = d.logoOf(l)
	}
	m, err := s.openMaster(ctx, g.mediaKey, logoKey)
	if err != nil {
		return err
	}
	composed, _ := d.compose(m, l, p)
	if len(composed.Problems) > 0 {
		return refuseLayout(problemsOf(composed, p))
	}
	file, err := picture.Export(m.image, picture.Target{Width: p.Width, Height: p.Height, BytesMax: p.BytesMax, Overlay: composed.Layer})
	if err != nil {
		return fmt.Errorf("export of %s: %w", g.mediaKey, err)
	}
	if picture.DigitalSourceType(file) != picture.TrainedAlgorithmicMedia {
		return fmt.Errorf("export of %s: %w", g.mediaKey, errNoProvenance)
	}
	if err := s.config.Media.Put(ctx, key, file, picture.MIMEType(picture.JPEG)); err != nil {
		return unavailable("the media store", err)
	}
	return nil
}

func exported(g generationRow, p schemas.Placement) schemas.ExportedImage {
	return schemas.ExportedImage{GenerationID: g.id.String(), BatchID: g.batch.String(), Placement: p.ID}
}

// recordFile records that a file was asked for. It is for those who learn from the
// stream: a read goes on where the log is away.
func (s *Server) recordFile(ctx context.Context, account, correlation string, image schemas.ExportedImage) {
	command := &schemas.RecordExport{Kind: exportFile, Images: []schemas.ExportedImage{image}, CommandMetadata: schemas.CommandMetadata{
		ID: schemas.NewID(), AccountID: account, OccurredAt: s.now().UTC(), CorrelationID: correlation, CausationID: correlation,
		Actor: schemas.Actor{Kind: schemas.ActorUser, ID: account, Via: "api"},
	}}
	if err := s.produce(ctx, command); err != nil {
		s.log(correlation).Warn().Err(err).Msg("export was not recorded")
	}
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
