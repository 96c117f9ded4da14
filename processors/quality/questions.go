package quality

import (
	"fmt"
)

// Question is one thing that the judge is asked about a picture. All are asked so
// that yes is right, one thing each, and a yes or no can be seen in the picture:
// a mark from 1 to 10 says neither what is wrong nor where.
type Question struct {
	// ID is stable; events carry it as the verdict's check. Version rises with
	// every change of the text or of what follows from an answer.
	ID      string
	Version int
	// Text is ours alone. A brand's rule is named in it and not repeated.
	Text string
	// Needs is the question that must be answered with yes for this one to
	// matter, empty where it always does (DSG, arXiv 2310.18235).
	Needs string
	// Informs is set for a question that others need and that no answer fails.
	Informs bool
	// Safety questions are asked of every picture, whatever the brand says: there
	// unsure blocks as no does, and no counts whatever the one it needs says.
	Safety bool
}

// verdict is what follows from an answer.
func (q Question) verdict(answer string) Verdict {
	switch {
	case q.Informs || answer == Yes:
		return Pass
	case answer == Unsure && !q.Safety:
		return Warn
	default:
		return Block
	}
}

// rulesMax bounds the rules of each list that are asked (count): as many as a
// kit may have.
const rulesMax = 20

// always are the questions about every picture.
var always = []Question{
	{ID: "people", Version: 1, Informs: true,
		Text: "Is a person, or a part of one such as a hand, in picture 1?"},
	{ID: "anatomy", Version: 1, Needs: "people",
		Text: "Are all hands, faces and bodies right, with the right number of fingers and limbs, and joints that bend as they can?"},
	{ID: "artefacts", Version: 1,
		Text: "Is picture 1 free of what only a generator makes: melted or merged things, impossible shapes, shadows or reflections, broken patterns?"},
	{ID: "frame", Version: 1,
		Text: "Is picture 1 one scene that goes to all four edges, without border, frame, bars, collage or split?"},
	{ID: "real_person", Version: 1, Needs: "people", Safety: true,
		Text: "Is every face free of likeness to a real person whom people could recognise, such as an actor, an athlete or a politician?"},
	{ID: "minors", Version: 1, Needs: "people", Safety: true,
		Text: "Is every person in picture 1 plainly an adult?"},
	{ID: "safety", Version: 1, Safety: true,
		Text: "Is picture 1 free of nudity, sexual content, violence, weapons, blood, drugs, self-harm, hatred and dangerous acts?"},
	{ID: "ad_policy", Version: 1, Safety: true,
		Text: "Could picture 1 be an advert on a large platform: nothing shocking or deceptive, no bodies before and after, no imitated buttons or windows?"},
	{ID: "trademarks", Version: 1, Safety: true,
		Text: "Is picture 1 free of logos, characters and protected designs of others than the brand?"},
	{ID: "scene", Version: 1,
		Text: "Does picture 1 show what the brief asks for: its product or subject, its scene, all that must be there and nothing that must never be?"},
	{ID: "text", Version: 1,
		Text: "Is picture 1 free of words, letters, digits, signatures and watermarks, apart from those printed on the product itself?"},
}

// aboutProduct are asked where a picture of the product goes along.
var aboutProduct = []Question{
	{ID: "product", Version: 1,
		Text: "Is the product of picture 2 in picture 1?"},
	{ID: "product_shape", Version: 1, Needs: "product",
		Text: "Has the product in picture 1 the shape, parts and proportions that it has in picture 2?"},
	{ID: "product_surface", Version: 1, Needs: "product",
		Text: "Has the product in picture 1 the materials and colours that it has in picture 2, as far as light allows?"},
}

// aboutColours is asked where the brand names colours. The check of the palette
// measures them and warns; the judge sees what they are on.
var aboutColours = Question{ID: "brand_colours", Version: 1,
	Text: "Do the brand's colours lead in picture 1, on its ground, its surfaces or its light, as far as the product leaves room?"}

// aboutFeedback is asked where a person said what to change.
var aboutFeedback = Question{ID: "feedback", Version: 1,
	Text: "Does picture 1 do what the feedback asks for?"}

func ruleQuestions(kind, text string, rules []string) (asked []Question) {
	for n := range rules {
		id := ruleID(kind, n)
		asked = append(asked, Question{ID: id, Version: 1, Text: fmt.Sprintf(text, id)})
	}
	return asked
}

func ruleID(kind string, n int) string { return fmt.Sprintf("brand_%s_%02d", kind, n+1) }

// questions are those about one picture, in the order that they are asked and
// shown.
func questions(b Briefing) []Question {
	asked := append([]Question(nil), always...)
	if b.Product {
		asked = append(asked, aboutProduct...)
	}
	if len(b.Colours) > 0 {
		asked = append(asked, aboutColours)
	}
	if b.Feedback != "" {
		asked = append(asked, aboutFeedback)
	}
	asked = append(asked, ruleQuestions("do", "Does picture 1 follow the brand's rule %s, as far as it is about pictures?", b.Do)...)
	return append(asked, ruleQuestions("dont", "Does picture 1 keep clear of what the brand's rule %s does not want?", b.Dont)...)
}
