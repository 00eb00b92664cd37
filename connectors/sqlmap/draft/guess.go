package draft

import (
	"fmt"
	"math"
	"strings"

	"github.com/habeas-data/habeas/connectors/sqlmap"
)

// Guess is what a column probably holds.
type Guess struct {
	// Category is a data category, or empty when nothing points to a person.
	Category string
	// Confidence is from 0 to 1.
	Confidence float64
	// Why says what the guess rests on; never a value.
	Why string
}

// Threshold is the confidence from which a column counts as personal.
const Threshold = .5

// Personal reports whether the guess is good enough to act on.
func (g Guess) Personal() bool { return g.Confidence >= Threshold }

// GuessColumn looks at a column's name, its type and its sampled values.
func GuessColumn(table string, c *sqlmap.SurveyColumn) Guess {
	category, score := byName(table, c.Name)
	why := "name"
	if !fits(category, c.Kind) {
		score *= .2
	}
	seen, shape, share := byValues(c)
	switch {
	case seen == 0:
	case shape != nil && share >= .5:
		strength := shape.sure * share
		switch {
		case score < Threshold:
			category, score, why = shape.category, math.Max(strength, score), "values"
		case within(shape.category, category) || within(category, shape.category):
			if len(shape.category) > len(category) {
				category = shape.category
			}
			score, why = 1-(1-score)*(1-strength), "name and values"
		case strength > score:
			category, score, why = shape.category, strength, "values, and the name says otherwise"
		}
		why += fmt.Sprintf("; %d of %d sampled look like %s", int(math.Round(share*float64(seen))), seen, shape.words)
	case telling(category) && seen >= 5 && c.Kind == "text":
		// Its values always show: none of them does.
		score *= .3
		why = fmt.Sprintf("name; none of %d sampled looks like it", seen)
	}
	if hits := inside(c); hits > 0 && (score < Threshold || category == "user.content") {
		category, score, why = "user.content", math.Max(score, .8), fmt.Sprintf("values; %d of %d sampled have contact data inside", hits, seen)
	}
	if score < .05 {
		return Guess{}
	}
	return Guess{Category: category, Confidence: math.Round(score*100) / 100, Why: why}
}

// within reports whether a category is parent or lies under it.
func within(category, parent string) bool {
	return parent != "" && (category == parent || strings.HasPrefix(category, parent+"."))
}

// telling are categories whose values are known by their look.
func telling(category string) bool {
	switch category {
	case "user.contact.email", "user.device.ip_address", "user.payment.card_number":
		return true
	}
	return false
}

// byValues finds the shape that most values have.
func byValues(c *sqlmap.SurveyColumn) (seen int, best *shape, share float64) {
	seen = len(c.Values)
	if seen == 0 || c.Kind == "boolean" || c.Kind == "time" {
		return seen, nil, 0
	}
	counts := make([]int, len(shapes))
	for _, v := range c.Values {
		text := v.Reveal()
		for i := range shapes {
			if shapes[i].is(text) {
				counts[i]++
				break
			}
		}
	}
	for i, n := range counts {
		if s := float64(n) / float64(seen); s > share {
			best, share = &shapes[i], s
		}
	}
	return seen, best, share
}

// inside counts values with contact data in the middle of something longer.
func inside(c *sqlmap.SurveyColumn) (hits int) {
	if c.Kind != "text" && c.Kind != "json" {
		return 0
	}
	for _, v := range c.Values {
		if s := v.Reveal(); !isEmail(s) && mixed.MatchString(s) {
			hits++
		}
	}
	return hits
}

// fits reports whether a column of this kind can hold the category at all.
func fits(category, kind string) bool {
	switch kind {
	case "boolean":
		return category == "user.privacy_preferences" || category == "user.demographic" || category == "user.health_and_medical"
	case "time":
		switch category {
		case "user.demographic.date_of_birth", "user.behavior", "user.privacy_preferences", "user.workplace":
			return true
		}
		return false
	case "integer", "number":
		switch {
		case within(category, "user.contact.email"), within(category, "user.name"), within(category, "user.content"),
			within(category, "user.contact.address.street"), within(category, "user.contact.address.city"), within(category, "user.authorization.password"),
			within(category, "user.account"), within(category, "user.device.ip_address"), within(category, "user.job_title"), within(category, "user.behavior.search_history"):
			return false
		}
	case "uuid":
		return category == "user.unique_id" || within(category, "user.device") || category == "user.authorization"
	case "bytes":
		return within(category, "user.content") || within(category, "user.biometric") || within(category, "user.authorization") || within(category, "user.government_id")
	}
	return true
}
