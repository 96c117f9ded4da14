package standin

import (
	"fmt"
	"slices"
	"strings"
)

// The answers of a judge.
const (
	yes    = "yes"
	no     = "no"
	unsure = "unsure"
)

// seenAs is an answer with what it follows from.
type seenAs struct{ answer, evidence string }

// look answers one question, each time alike.
func (j *judge) look(id string) seenAs {
	v, looked := j.looked[id]
	if !looked {
		v = j.judged(id)
		j.looked[id] = v
	}
	return v
}

// judged answers a question from the picture: yes is good. The words of the ID
// choose what is looked at.
func (j *judge) judged(id string) seenAs {
	scripted := strings.Contains(id, j.task.question)
	switch {
	case j.fault == FaultNo && scripted && id != "":
		return seenAs{no, "the picture does not meet this"}
	case j.fault == FaultUnsure && scripted:
		return seenAs{unsure, "this cannot be told from the picture"}
	case !j.sees:
		return seenAs{unsure, "no picture that can be read came with the question"}
	}
	about := func(words ...string) bool {
		for part := range strings.SplitSeq(id, "_") {
			if slices.Contains(words, strings.TrimSuffix(part, "s")) {
				return true
			}
		}
		return false
	}
	switch {
	case about("text", "word", "letter"):
		return j.words()
	case about("palette", "colour", "color"):
		return j.palette()
	case about("sharp", "focus", "blur"):
		return j.focus()
	case about("border", "frame", "letterbox"):
		return j.borders()
	case about("dont"):
		return j.without(id)
	case about("product", "scene", "subject"):
		return j.subject()
	default:
		return seenAs{yes, "nothing in the picture speaks against it"}
	}
}

func (j *judge) words() seenAs {
	_, height := j.seen.size()
	// A line of letters is at least a fiftieth of a picture high, with strokes
	// in half of its rows.
	rows := j.seen.linesOfText()
	if rows > height/100 {
		return seenAs{no, fmt.Sprintf("letters are to be seen over %d %% of the picture's height", 100*rows/height)}
	}
	return seenAs{yes, "no letters are to be seen"}
}

func (j *judge) palette() seenAs {
	if len(j.wanted) == 0 {
		return seenAs{unsure, "no palette was named"}
	}
	share, mean := j.seen.foreignShare(j.wanted)
	if share > foreignMost {
		return seenAs{no, fmt.Sprintf("%.0f %% of the picture have hues that the palette does not have, such as %s", 100*share, mean.hex())}
	}
	return seenAs{yes, fmt.Sprintf("%.0f %% of the picture have hues that the palette does not have", 100*share)}
}

const (
	// sharpnessMin is the light between neighbours in a picture in focus, 0 to 255.
	sharpnessMin = 24
	// refusedMost is the share that a refused colour may have.
	refusedMost = 0.05
)

func (j *judge) focus() seenAs {
	if steep := j.seen.sharpness(); steep < sharpnessMin {
		return seenAs{no, fmt.Sprintf("nothing is in focus: the hardest edge is of %d levels", steep)}
	}
	return seenAs{yes, "edges are hard"}
}

func (j *judge) borders() seenAs {
	if j.seen.bars() {
		return seenAs{no, "dark bars lie along two opposite sides"}
	}
	return seenAs{yes, "the picture goes to its edges"}
}

func (j *judge) without(id string) seenAs {
	for _, m := range hexColor.FindAllStringSubmatch(j.question(id), -1) {
		for _, c := range colorsOf("#" + m[1]) {
			if share := j.seen.nearShare(c); share > refusedMost {
				return seenAs{no, fmt.Sprintf("%.0f %% of the picture have the colour #%s", 100*share, m[1])}
			}
		}
	}
	return seenAs{yes, "nothing in the picture speaks against it"}
}

func (j *judge) subject() seenAs {
	if j.seen.blank() {
		return seenAs{no, "the picture shows nothing but one colour"}
	}
	return seenAs{yes, "the subject stands clear of its ground"}
}

func (t tint) hex() string { return fmt.Sprintf("#%02x%02x%02x", level(t.r), level(t.g), level(t.b)) }
