package manual

import "github.com/habeas-data/habeas/connectors/sdk"

// What people can do in a system is read off the connector's type, so there is a
// type for each mix of it.
type (
	eraser    struct{ c *Connector }
	optOuter  struct{ c *Connector }
	corrector struct{ c *Connector }
	exporter  struct{ c *Connector }

	erasing struct{ *Connector }
	opting  struct{ *Connector }
	both    struct {
		*Connector
		eraser
		optOuter
	}
	correcting struct {
		*Connector
		corrector
	}
	erasingCorrecting struct {
		*Connector
		eraser
		corrector
	}
	optingCorrecting struct {
		*Connector
		optOuter
		corrector
	}
	all struct {
		*Connector
		eraser
		optOuter
		corrector
	}
	// allCopying is everything there is.
	allCopying struct {
		all
		exporter
	}
)

var (
	_ sdk.Desked    = (*Connector)(nil)
	_ sdk.Eraser    = erasing{}
	_ sdk.OptOuter  = opting{}
	_ sdk.Eraser    = both{}
	_ sdk.OptOuter  = both{}
	_ sdk.Scoped    = both{}
	_ sdk.Connector = (*Connector)(nil)

	_ sdk.Eraser           = all{}
	_ sdk.OptOuter         = all{}
	_ sdk.CorrectionReader = all{}

	_ sdk.Desked           = allCopying{}
	_ sdk.Eraser           = allCopying{}
	_ sdk.OptOuter         = allCopying{}
	_ sdk.CorrectionReader = allCopying{}
	_ sdk.Exporter         = allCopying{}
)

// able is the connector as a type that has what the settings say people can do.
func (c *Connector) able() sdk.Connector {
	able := c.acting()
	if !c.settings.can("copy") {
		return able
	}
	copies := exporter{c}
	switch a := able.(type) {
	case all:
		return allCopying{a, copies}
	case erasingCorrecting:
		return struct {
			erasingCorrecting
			exporter
		}{a, copies}
	case optingCorrecting:
		return struct {
			optingCorrecting
			exporter
		}{a, copies}
	case correcting:
		return struct {
			correcting
			exporter
		}{a, copies}
	case both:
		return struct {
			both
			exporter
		}{a, copies}
	case erasing:
		return struct {
			erasing
			exporter
		}{a, copies}
	case opting:
		return struct {
			opting
			exporter
		}{a, copies}
	default:
		return struct {
			*Connector
			exporter
		}{c, copies}
	}
}

// acting is the same without copies.
func (c *Connector) acting() sdk.Connector {
	erase, optOut, correct := c.settings.can("erase"), c.settings.can("opt_out"), c.settings.can("correct")
	switch {
	case correct && erase && optOut:
		return all{c, eraser{c}, optOuter{c}, corrector{c}}
	case correct && erase:
		return erasingCorrecting{c, eraser{c}, corrector{c}}
	case correct && optOut:
		return optingCorrecting{c, optOuter{c}, corrector{c}}
	case correct:
		return correcting{c, corrector{c}}
	case erase && optOut:
		return both{c, eraser{c}, optOuter{c}}
	case erase:
		return erasing{c}
	case optOut:
		return opting{c}
	default:
		return c
	}
}
