package notice

import (
	"fmt"
	"slices"
	"strings"

	"github.com/habeas-data/habeas/services/regimes"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// facts are what the words of a notice may speak of.
type facts struct {
	ID       request.ID
	Company  string
	Contact  string
	Policy   string
	Portal   string
	Link     string
	Right    string
	Received request.Date
	Due      request.Date
	Extended request.Date
	NoReask  request.Date
	// Reason was given by whoever decided; Denial is the regime's text for the
	// code.
	Reason, Denial string
	Appeal         bool
	Erased         int64
	// Deidentified is how many records stay with nothing in them by which anybody
	// could be told (Civ. Code 1798.140(m)).
	Deidentified int64
	// Emptied and Masked are how many records stay with what was in them about the
	// person taken out, or written over by what nobody can turn back.
	Emptied, Masked int64
	Kept            []kept
	// Told is how many others that had received the data were told, of whom
	// Confirmed said that they did their part; Untold explains why somebody was
	// not.
	Told, Confirmed int
	Untold          []string
	// Sources are the names of those from whom the company had what was wrong.
	Sources []string
	// Missing are reasons why something was not done.
	Missing      []string
	PackageUntil request.Date
}

// kept is what was not deleted, and why (11 CCR 7022(f)(1)).
type kept struct {
	Count    int64
	Category string
	Why, Law string
	Until    request.Date
}

// Part is a part of a notice that the law demands.
type Part struct {
	Name     string
	Citation string
}

// Mandatory are the parts that a notice about a request for the right must
// have. Others are added where there is something to add.
func Mandatory(kind store.NoticeKind, right request.Right, result request.Result) []Part {
	switch kind {
	case store.NoticeReceipt:
		process := Part{"process_verified", "11 CCR 7021(a)"}
		if !right.Verifiable() {
			process = Part{"process_plain", "11 CCR 7060(b)"}
		}
		return []Part{{"received", "11 CCR 7021(a)"}, process, {"due", "11 CCR 7021(a)"}}
	case store.NoticeFixIt:
		return []Part{{"received", "11 CCR 7020(e)"}, {"designated", "11 CCR 7020(e)"}}
	case store.NoticeConfirm:
		return []Part{{"received", "11 CCR 7020(d)"}, {"confirm", "11 CCR 7020(d), 7028(a)"}}
	case store.NoticeExtension:
		return []Part{{"extension", "11 CCR 7021(b)"}, {"reason", "11 CCR 7021(b)"}}
	case store.NoticeVerifyAgain:
		return []Part{{"received", "11 CCR 7062(d)"}, {"verify_again", "11 CCR 7062(d)"}}
	case store.NoticeDenial:
		parts := []Part{{"denied", "11 CCR 7022(f), 7023(f), 7024(e)"}, {"denial_text", "11 CCR 7022(f)(1), 7024(e)"}}
		if right == request.Delete {
			parts = append(parts, Part{"record_kept", "11 CCR 7022(e)"})
		}
		return parts
	case store.NoticeAnswer:
		return append([]Part{{"answered", "11 CCR 7021(b)"}}, answerParts(right, result)...)
	default:
		return nil
	}
}

// answerParts are what an answer must say that is no refusal.
func answerParts(right request.Right, result request.Result) []Part {
	switch right {
	case request.Delete:
		said := Part{"complied", "11 CCR 7022(e)"}
		if result != request.ResultComplete {
			said.Name = "complied_partly"
		}
		return []Part{said, {"record_kept", "11 CCR 7022(e)"}}
	case request.KnowCategories, request.KnowSpecific:
		return []Part{{"package", "Civ. Code 1798.130(a)(2)(A)"}, {"withheld", "11 CCR 7024(d)"}}
	case request.Correct:
		return []Part{{"corrected", "11 CCR 7023(c), (f)"}}
	case request.OptOutSaleShare:
		return []Part{{"opted_out", "11 CCR 7026(f), (g), (k)"}}
	case request.LimitSPI:
		return []Part{{"limited", "11 CCR 7027(g)"}}
	case request.OptInSaleShare:
		return []Part{{"opted_in", "11 CCR 7028"}}
	case request.OptInSPI:
		return []Part{{"limit_lifted", "11 CCR 7028"}}
	default:
		return nil
	}
}

// letter is a notice in words.
type letter struct{ Subject, Text string }

// compose writes a notice in a language. Parts that are not mandatory are
// added where the facts have something for them.
func compose(w words, kind store.NoticeKind, req *store.Request, f facts, offers []regimes.Offer) (letter, error) {
	right, result := req.Right(), request.Result("")
	if e := req.Ending; e != nil {
		result = e.Result
	}
	mandatory := Mandatory(kind, right, result)
	if mandatory == nil {
		return letter{}, fmt.Errorf("there is no notice of kind %q", kind)
	}
	var err error
	if f.Right, err = w.say("right_"+string(right), &f); err != nil {
		return letter{}, err
	}
	names := []string{"hello"}
	for _, p := range mandatory {
		if p.Name == "due" && f.Due.IsZero() {
			p.Name = "due_unknown" // the rules of the law are not known: it is acknowledged all the same
		}
		if p.Name == "package" && req.Case.Answer == request.AnswerByMail {
			p.Name, f.PackageUntil = "mailed", request.Date{} // it came as the person chose
		}
		names = append(names, p.Name)
	}
	names = append(names, f.more(kind, right, result, names, offers)...)
	if i := slices.Index(names, "record_kept"); i >= 0 {
		names = append(slices.Delete(names, i, i+1), "record_kept")
	}
	if f.Contact != "" {
		names = append(names, "contact")
	}
	var out letter
	if out.Subject, err = w.say("subject_"+string(kind), &f); err != nil {
		return letter{}, err
	}
	var paragraphs []string
	for _, name := range append(names, "signature") {
		text, err := w.say(name, &f)
		if err != nil {
			return letter{}, err
		}
		paragraphs = append(paragraphs, text)
	}
	out.Text = strings.Join(paragraphs, "\n\n") + "\n"
	return out, nil
}

// more are the parts that depend on what there is to say.
func (f *facts) more(kind store.NoticeKind, right request.Right, result request.Result, have []string, offers []regimes.Offer) []string {
	var names []string
	add := func(when bool, name string) {
		if when && !slices.Contains(have, name) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if kind == store.NoticeDenial || kind == store.NoticeAnswer && result == request.ResultPartial {
		add(kind == store.NoticeDenial && f.Reason != "", "reason")
		for _, o := range offers {
			add(o != regimes.OfferPolicy || f.Policy != "", "offer_"+string(o))
		}
		add(f.Appeal, "offer_appeal")
	}
	if kind == store.NoticeAnswer {
		add(right == request.Delete && (f.Erased > 0 || f.Deidentified+f.Emptied+f.Masked == 0 && result == request.ResultComplete), "erased")
		add(f.Emptied > 0, "emptied")
		add(f.Masked > 0, "masked")
		add(f.Deidentified > 0, "deidentified")
		add(len(f.Kept) > 0, "kept")
		add(f.Told > 0, "recipients_told")
		add(len(f.Untold) > 0, "recipients_untold")
		add(len(f.Sources) > 0, "sources")
		add(len(f.Missing) > 0, "missing")
		add(!f.PackageUntil.IsZero(), "package_until")
	}
	add(kind == store.NoticeReceipt && f.Link != "", "status")
	return names
}
