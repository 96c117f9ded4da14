package api

import (
	"context"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/gofiber/fiber/v2"
	"github.com/jackc/pgx/v5"

	"atelier/schemas"
)

const (
	// tagRunesMax bounds a tag (characters). Their count and the reason's length are
	// in the contract's file.
	tagRunesMax = 40
	// tagsListed bounds how many tags a client is told to choose from (count).
	tagsListed = 200
)

// RateGeneration implements ServerInterface.
func (s *Server) RateGeneration(c *fiber.Ctx, generationID GenerationID, _ RateGenerationParams) error {
	var said RateGeneration
	canonical, err := s.decode(c, "RateGeneration", &said)
	if err != nil {
		return err
	}
	if said.Tags != nil {
		if broken := trimTags(*said.Tags); len(broken) > 0 {
			return refuseFields(broken)
		}
	}
	a, err := attemptOf(c, canonical)
	if err != nil {
		return err
	}
	return s.onImage(c, a, generationID, func(ctx context.Context, m schemas.CommandMetadata, g generationRow) (schemas.Command, error) {
		return s.rateCommand(ctx, m, g, said)
	})
}

// DeleteGeneration implements ServerInterface.
func (s *Server) DeleteGeneration(c *fiber.Ctx, generationID GenerationID, _ DeleteGenerationParams) error {
	a, err := attemptOf(c, nil)
	if err != nil {
		return err
	}
	return s.onImage(c, a, generationID, func(_ context.Context, m schemas.CommandMetadata, g generationRow) (schemas.Command, error) {
		return &schemas.DeleteImage{CommandMetadata: m, BatchID: g.batch.String(), GenerationID: g.id.String()}, nil
	})
}

// RestoreGeneration implements ServerInterface.
func (s *Server) RestoreGeneration(c *fiber.Ctx, generationID GenerationID, _ RestoreGenerationParams) error {
	a, err := attemptOf(c, nil)
	if err != nil {
		return err
	}
	return s.onImage(c, a, generationID, func(_ context.Context, m schemas.CommandMetadata, g generationRow) (schemas.Command, error) {
		return &schemas.RestoreImage{CommandMetadata: m, BatchID: g.batch.String(), GenerationID: g.id.String()}, nil
	})
}

// onImage sends a command about a finished image of the account. The account's
// state does not know finished images, so the read model is asked here.
func (s *Server) onImage(c *fiber.Ctx, a attempt, id GenerationID,
	build func(context.Context, schemas.CommandMetadata, generationRow) (schemas.Command, error),
) error {
	wanted, err := s.wantedPosition(c)
	if err != nil {
		return err
	}
	return s.command(c, a, func(ctx context.Context, m schemas.CommandMetadata) (schemas.Command, error) {
		var g generationRow
		_, err := s.readAt(ctx, a.account, []string{galleries}, wanted, func(ctx context.Context, tx pgx.Tx) (err error) {
			if g, err = generationByID(ctx, tx, id); err == nil && !g.succeeded() {
				err = refuse(codeNotReady, "it has no image: it is "+g.status)
			}
			if err == nil && g.gone(s.now()) {
				err = refuseGone()
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		return build(ctx, m, g)
	}, noContent(c))
}

// trimTags cuts off the white space around tags, and lists those that are none.
func trimTags(tags []string) (broken []FieldProblem) {
	seen := map[string]int{}
	for i, tag := range tags {
		tag = strings.TrimSpace(tag)
		tags[i] = tag
		refuse := func(detail string) {
			broken = append(broken, FieldProblem{Pointer: fmt.Sprintf("/tags/%d", i), Detail: detail})
		}
		first, twice := seen[strings.ToLower(tag)]
		switch {
		case tag == "" || utf8.RuneCountInString(tag) > tagRunesMax:
			refuse(fmt.Sprintf("must have 1 to %d characters, without the white space around them", tagRunesMax))
		case strings.ContainsFunc(tag, unicode.IsControl):
			refuse("must be one line")
		case twice:
			refuse(fmt.Sprintf("is the same as /tags/%d", first))
		default:
			seen[strings.ToLower(tag)] = i
		}
	}
	return broken
}

// rateCommand seals what a person wrote.
func (s *Server) rateCommand(ctx context.Context, m schemas.CommandMetadata, g generationRow, said RateGeneration) (*schemas.RateImage, error) {
	command := &schemas.RateImage{
		CommandMetadata: m, BatchID: g.batch.String(), GenerationID: g.id.String(), Favourite: said.Favourite, Rating: (*string)(said.Rating),
	}
	if said.Tags != nil {
		document, err := canonicalJSON(*said.Tags)
		if err != nil {
			return nil, err
		}
		sealed, err := s.config.Vault.Seal(ctx, m.AccountID, document)
		if err != nil {
			return nil, err
		}
		command.Tags = &sealed
	}
	if said.Reason != nil {
		sealed, err := s.config.Vault.Seal(ctx, m.AccountID, []byte(strings.TrimSpace(*said.Reason)))
		if err != nil {
			return nil, err
		}
		command.Reason = &sealed
	}
	return command, nil
}

// ListTags implements ServerInterface.
func (s *Server) ListTags(c *fiber.Ctx, _ ListTagsParams) error {
	var q query
	q.add(`SELECT (array_agg(t.tag ORDER BY g.seq DESC))[1], count(*) FROM galleries_api.generations g, unnest(g.tags, g.tag_keys) AS t(tag, key)
		WHERE g.deleted_at IS NULL GROUP BY t.key ORDER BY 2 DESC, t.key LIMIT ?`, tagsListed)
	found, err := list(s, c, galleries, q, func(row pgx.CollectableRow) (t Tag, err error) {
		err = row.Scan(&t.Tag, &t.Images)
		return t, err
	})
	if err != nil {
		return err
	}
	return c.JSON(TagList{Items: append([]Tag{}, found...)})
}
