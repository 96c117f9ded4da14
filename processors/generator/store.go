package generator

import (
	"context"
	"crypto/sha256"
	"slices"
	"strings"
	"time"

	"atelier/internal/media"
	"atelier/internal/picture"
	"atelier/processors/gemini"
	"atelier/processors/generator/workflow"
	"atelier/processors/quality"
	"atelier/schemas"
)

// thumbnailPixels is the longer side of a thumbnail: that of what the checks look at.
const thumbnailPixels = picture.ReducedSide

// check checks a picture, has it judged, and stores it where it passes.
func (w *worker) check(call, keep context.Context, t task, o order, r result) next {
	id, number, began := t.request.GenerationID, len(t.work.attempts)+1, time.Now()
	w.notes.say(t.request, stageChecking, number, "", began)
	mimeType := picture.MIMEType(picture.Sniff(r.image))
	subject := quality.Open(r.image, mimeType)
	asked := expected(o)
	if signature, decoded := subject.Signature(); decoded {
		asked.Batch = t.pictures.claim(id, o.placement.Ratio, signature)
	}
	results := quality.Inspect(subject, asked)
	r.Attempt.Verdicts = verdicts(results)
	if !slices.ContainsFunc(r.Attempt.Verdicts, refuses) {
		judged, pending, err := w.judge(call, keep, t, o, r.image)
		switch {
		case err != nil:
			return w.trouble(call, t, err)
		case pending != nil:
			return *pending
		}
		t.work.unjudged = nil
		r.Attempt.Tokens += judged.tokens
		r.Attempt.CostMicros += judged.costMicros
		if len(judged.results) == 0 {
			t.pictures.release(id)
			return w.unjudged(t, r, began)
		}
		r.Attempt.Verdicts = append(r.Attempt.Verdicts, verdicts(judged.results)...)
	}
	if i := slices.IndexFunc(r.Attempt.Verdicts, refuses); i >= 0 {
		t.pictures.release(id)
		return w.rejected(t, r, r.Attempt.Verdicts[i].Evidence, began)
	}
	w.notes.say(t.request, stageStoring, number, "", time.Now())
	master, thumbnail, err := w.store(keep, t.request, subject)
	if err != nil {
		// The picture is in the journal: the next try finds it there.
		return w.trouble(call, t, err)
	}
	t.work.count(r.Attempt)
	t.work.checking += time.Since(began)
	w.metrics.attempts.WithLabelValues(outcomeOK).Inc()
	return next{work: t.work, answer: complete(t, r, master, thumbnail, time.Now())}
}

// expected is what was asked for, as the checks want it.
func expected(o order) quality.Expectation {
	known, _ := gemini.ModelByID(o.model)
	width, height, _ := known.Pixels(o.placement.Ratio, o.size)
	return quality.Expectation{
		Width: width, Height: height, Ratio: ratio(o.placement.Ratio),
		// The models' own pixels are up to 0.8 % off; the export crops.
		RatioTolerance: max(o.placement.RatioTolerance, 0.01), BytesMax: picture.BytesMax,
		Colours: o.standards.colours, ForbiddenColours: o.standards.forbidden,
	}
}

// standards are what customers wrote that a picture is checked against.
type standards struct {
	colours, forbidden []string
	briefing           quality.Briefing
}

func standardsOf(in workflow.Input) (s standards) {
	s.colours, s.forbidden = workflow.Colours(in.Kit)
	scene, overlay := workflow.Scene(in.Brief)
	s.briefing = quality.Briefing{
		Brief: scene, Copy: strings.Join(overlay, "\n"), Colours: s.colours, Feedback: in.Feedback,
		Product: slices.Contains(in.Roles, "product"),
	}
	s.briefing.Do, s.briefing.Dont = workflow.Rules(in.Kit)
	return s
}

func verdicts(results []quality.Result) []schemas.Verdict {
	all := make([]schemas.Verdict, len(results))
	for i, r := range results {
		all[i] = schemas.Verdict{Check: r.Check, Version: r.Version, Verdict: string(r.Verdict), Evidence: r.Evidence, Figures: r.Figures,
			Question: r.Question, Answer: r.Answer}
	}
	return all
}

// refuses says whether a verdict keeps the picture from leaving. One that it
// does not know does, so that a slip never lets a picture out.
func refuses(v schemas.Verdict) bool {
	return v.Verdict != string(quality.Pass) && v.Verdict != string(quality.Warn)
}

// rejected counts a picture that a check refused, and says what follows.
func (w *worker) rejected(t task, r result, finding string, began time.Time) next {
	r.Attempt.Outcome = outcomeRejected
	w.metrics.attempts.WithLabelValues(outcomeRejected).Inc()
	t.work.count(r.Attempt)
	t.work.checking += time.Since(began)
	if len(t.work.attempts) >= attemptsMax {
		return w.failed(t, failure{
			Code: outcomeRejected, Fault: faultModel, Detail: "No picture passed the checks. The last one: " + finding,
		})
	}
	return next{work: t.work, stage: stageRetrying, reason: outcomeRejected}
}

// unjudged ends a generation whose picture nobody could judge: it is no pass.
func (w *worker) unjudged(t task, r result, began time.Time) next {
	r.Attempt.Outcome = reasonUnjudged
	r.Attempt.Verdicts = append(r.Attempt.Verdicts, schemas.Verdict{
		Check: "judge", Version: 1, Verdict: string(quality.Block), Evidence: "the judge gave no answer that could be used", Figures: map[string]float64{},
	})
	w.metrics.attempts.WithLabelValues(reasonUnjudged).Inc()
	t.work.count(r.Attempt)
	t.work.checking += time.Since(began)
	return w.failed(t, failure{Code: reasonUnjudged, Fault: faultModel, Detail: "The picture could not be judged, so it was not delivered."})
}

// store puts the master and its thumbnail where their content says, below what is
// the image's alone, so that doing it again changes nothing.
func (w *worker) store(ctx context.Context, r *schemas.GenerationRequested, s quality.Subject) (master schemas.Media, thumbnailKey string, err error) {
	small, err := picture.Thumbnail(s.Small, thumbnailPixels)
	if err != nil {
		return schemas.Media{}, "", err
	}
	ctx, cancel := context.WithTimeout(ctx, w.tuning.keepTimeout)
	defer cancel()
	sum, size := sha256.Sum256(s.Data), s.Image.Bounds().Size()
	master = schemas.Media{
		Key: media.ImageKey(r.AccountID, r.GenerationID, "master", sum, media.Extension(s.MIMEType)), SHA256: sum[:],
		Bytes: int64(len(s.Data)), Width: size.X, Height: size.Y, MIMEType: s.MIMEType,
	}
	if err := w.config.Media.Put(ctx, master.Key, s.Data, s.MIMEType); err != nil {
		return schemas.Media{}, "", err
	}
	thumbnailKey = media.ImageKey(r.AccountID, r.GenerationID, "thumbnail", sha256.Sum256(small), "jpg")
	if err := w.config.Media.Put(ctx, thumbnailKey, small, "image/jpeg"); err != nil {
		return schemas.Media{}, "", err
	}
	return master, thumbnailKey, nil
}

// complete is the answer that an image is made.
func complete(t task, r result, master schemas.Media, thumbnailKey string, now time.Time) *schemas.CompleteGeneration {
	tokens, cost := sums(t.work.attempts)
	durations := schemas.Durations{
		QueuedMs:   max(0, t.work.firstCall.Sub(t.request.OccurredAt).Milliseconds()),
		CheckingMs: t.work.checking.Milliseconds(),
	}
	for _, a := range t.work.attempts {
		durations.GeneratingMs += a.DurationMs
	}
	return &schemas.CompleteGeneration{
		CommandMetadata: commandMeta(t.request, completeID(t.request.GenerationID), now),
		GenerationID:    t.request.GenerationID, BatchID: t.request.BatchID,
		Media: master, ThumbnailKey: thumbnailKey,
		Model: r.Attempt.Model, ModelVersion: r.ModelVersion, Template: r.Template, TemplateVersion: r.TemplateVersion,
		Attempts: t.work.attempts, Tokens: tokens, CostMicros: cost, Durations: durations,
	}
}
