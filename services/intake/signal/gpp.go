package signal

import (
	"strings"
)

// Section identifiers of the Global Privacy Platform that say something about
// opting out.
const (
	SectionUSPrivacy = 6
	SectionUSNat     = 7
	SectionUSCA      = 8
)

// GPP is a decoded string.
type GPP struct {
	// Sections are the identifiers in the header, in order.
	Sections []int
	// USPrivacy, National and California are set when the string has the
	// section.
	USPrivacy  *USPrivacy
	National   *USSection
	California *USSection
}

// USSection is the "usnat" or "usca" section. Numbers are as in the
// specification: an opt-out of 1 is one, 0 does not apply, 2 is none.
type USSection struct {
	Version                             int
	SharingNotice                       int // usnat alone
	SaleOptOutNotice                    int
	SharingOptOutNotice                 int
	TargetedAdvertisingOptOutNotice     int // usnat alone
	SensitiveDataProcessingOptOutNotice int // usnat alone
	SensitiveDataLimitUseNotice         int
	SaleOptOut                          int
	SharingOptOut                       int
	TargetedAdvertisingOptOut           int // usnat alone
	SensitiveDataProcessing             []int
	KnownChildSensitiveDataConsents     []int
	PersonalDataConsents                int
	MspaCoveredTransaction              int
	MspaOptOutOptionMode                int
	MspaServiceProviderMode             int
	Gpc                                 bool
}

const optedOut = 1

// OptOut reports whether the section opts out of sale, sharing or targeted
// advertising.
func (s *USSection) OptOut() bool {
	return s != nil && (s.SaleOptOut == optedOut || s.SharingOptOut == optedOut || s.TargetedAdvertisingOptOut == optedOut || s.Gpc)
}

// OptOut reports whether any section opts out.
func (g GPP) OptOut() bool {
	return g.USPrivacy != nil && g.USPrivacy.OptOut || g.National.OptOut() || g.California.OptOut()
}

// Bounds on what is read. The longest string of a real platform, with every
// section, is about a tenth of these.
const (
	maxGPP      = 16 << 10
	maxSections = 64
)

// ParseGPP reads a GPP string. Sections that say nothing about opting out are
// named and not read.
func ParseGPP(s string) (GPP, error) {
	if len(s) > maxGPP {
		return GPP{}, errorText("GPP string: longer than 16 KiB")
	}
	parts := strings.Split(s, "~")
	ids, err := parseHeader(parts[0])
	if err != nil {
		return GPP{}, err
	}
	if len(ids) != len(parts)-1 {
		return GPP{}, errorText("GPP string: the header names another number of sections than follow it")
	}
	g := GPP{Sections: ids}
	for i, id := range ids {
		switch id {
		case SectionUSPrivacy:
			usp, err := ParseUSPrivacy(parts[i+1])
			if err != nil {
				return GPP{}, err
			}
			g.USPrivacy = &usp
		case SectionUSNat:
			if g.National, err = ParseUSNat(parts[i+1]); err != nil {
				return GPP{}, err
			}
		case SectionUSCA:
			if g.California, err = ParseUSCA(parts[i+1]); err != nil {
				return GPP{}, err
			}
		}
	}
	return g, nil
}

// parseHeader reads the identifiers of the sections that follow: a type and a
// version of six bits each, then ranges in Fibonacci code.
func parseHeader(s string) ([]int, error) {
	b, err := decodeBits(s)
	if err != nil {
		return nil, err
	}
	if b.number(6) != 3 || b.number(6) != 1 {
		return nil, errorText("GPP header: want type 3 and version 1")
	}
	var ids []int
	last := 0
	for range b.number(12) {
		group := b.number(1) == 1
		first := last + b.fibonacci()
		last = first
		if group {
			last += b.fibonacci()
		}
		if b.short || first < 1 || len(ids)+last-first >= maxSections {
			return nil, errorText("GPP header: cut off, or too many sections")
		}
		for id := first; id <= last; id++ {
			ids = append(ids, id)
		}
	}
	if b.short {
		return nil, errorText("GPP header: cut off")
	}
	return ids, nil
}

// ParseUSCA reads a section for California.
func ParseUSCA(s string) (*USSection, error) {
	b, gpc, err := sectionBits(s)
	if err != nil {
		return nil, err
	}
	out := &USSection{Version: b.number(6), Gpc: gpc}
	if out.Version != 1 {
		return nil, errorText("GPP section usca: unknown version")
	}
	b.into(&out.SaleOptOutNotice, &out.SharingOptOutNotice, &out.SensitiveDataLimitUseNotice, &out.SaleOptOut, &out.SharingOptOut)
	out.SensitiveDataProcessing, out.KnownChildSensitiveDataConsents = b.list(9), b.list(2)
	b.into(&out.PersonalDataConsents, &out.MspaCoveredTransaction, &out.MspaOptOutOptionMode, &out.MspaServiceProviderMode)
	if b.short {
		return nil, errorText("GPP section usca: cut off")
	}
	return out, nil
}

// ParseUSNat reads the national section, in version 1, in version 2, and in
// version 2 as some software writes it: with the fields of version 1.
func ParseUSNat(s string) (*USSection, error) {
	b, gpc, err := sectionBits(s)
	if err != nil {
		return nil, err
	}
	out := &USSection{Version: b.number(6), Gpc: gpc}
	sensitive, children := 12, 2
	const newLayout = 64 // bits of version 2 after the version
	switch {
	case out.Version == 2 && len(b.bits) >= newLayout:
		sensitive, children = 16, 3
	case out.Version != 1 && out.Version != 2:
		return nil, errorText("GPP section usnat: unknown version")
	}
	b.into(&out.SharingNotice, &out.SaleOptOutNotice, &out.SharingOptOutNotice, &out.TargetedAdvertisingOptOutNotice,
		&out.SensitiveDataProcessingOptOutNotice, &out.SensitiveDataLimitUseNotice, &out.SaleOptOut, &out.SharingOptOut, &out.TargetedAdvertisingOptOut)
	out.SensitiveDataProcessing, out.KnownChildSensitiveDataConsents = b.list(sensitive), b.list(children)
	b.into(&out.PersonalDataConsents, &out.MspaCoveredTransaction, &out.MspaOptOutOptionMode, &out.MspaServiceProviderMode)
	if b.short {
		return nil, errorText("GPP section usnat: cut off")
	}
	if out.Version == 2 { // what the old layout lacks does not apply
		out.SensitiveDataProcessing = append(out.SensitiveDataProcessing, make([]int, 16-sensitive)...)
		out.KnownChildSensitiveDataConsents = append(out.KnownChildSensitiveDataConsents, make([]int, 3-children)...)
	}
	return out, nil
}

// sectionBits splits a section into its core and the subsection that repeats
// Global Privacy Control (type 1).
func sectionBits(s string) (core *bitReader, gpc bool, err error) {
	parts := strings.Split(s, ".")
	if core, err = decodeBits(parts[0]); err != nil {
		return nil, false, err
	}
	for _, part := range parts[1:] {
		sub, err := decodeBits(part)
		if err != nil {
			return nil, false, err
		}
		if sub.number(2) == 1 {
			gpc = sub.number(1) == 1
		}
		if sub.short {
			return nil, false, errorText("GPP subsection: cut off")
		}
	}
	return core, gpc, nil
}

// bitReader reads bits, first to last. Reading past the end gives zeros and
// sets short.
type bitReader struct {
	bits  []byte // one bit each
	short bool
}

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// decodeBits turns base64url text into bits, six for each character, whether
// or not the writer padded it to whole bytes.
func decodeBits(s string) (*bitReader, error) {
	if s == "" {
		return nil, errorText("GPP string: a part is empty")
	}
	b := &bitReader{bits: make([]byte, 0, 6*len(s))}
	for i := range len(s) {
		v := strings.IndexByte(alphabet, s[i])
		if v < 0 {
			return nil, errorText("GPP string: a character that is not base64url")
		}
		for shift := 5; shift >= 0; shift-- {
			b.bits = append(b.bits, byte(v>>shift&1))
		}
	}
	return b, nil
}

func (b *bitReader) number(bits int) int {
	n := 0
	for range bits {
		n <<= 1
		if len(b.bits) == 0 {
			b.short = true
			continue
		}
		n |= int(b.bits[0])
		b.bits = b.bits[1:]
	}
	return n
}

// fibonacci reads a number as a sum of 1, 2, 3, 5, 8, …, lowest first, that
// ends with two ones.
func (b *bitReader) fibonacci() int {
	const largest = 1 << 16 // far beyond any section
	sum, small, large, before := 0, 1, 2, 0
	for !b.short && small < largest {
		bit := b.number(1)
		if bit == 1 && before == 1 {
			return sum
		}
		sum += bit * small
		small, large, before = large, small+large, bit
	}
	b.short = true
	return 0
}

func (b *bitReader) into(fields ...*int) {
	for _, f := range fields {
		*f = b.number(2)
	}
}

func (b *bitReader) list(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = b.number(2)
	}
	return out
}
