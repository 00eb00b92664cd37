package drop

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
)

// List is one of the platform's lists, by its name in file names.
type List string

// The lists. Removed holds items of the others whose people have withdrawn.
const (
	ListNameBirthZIP List = "NDZ"
	ListEmail        List = "Email"
	ListPhone        List = "Phone"
	ListAdvertising  List = "MAID"
	ListNameVIN      List = "NameVIN"
	ListTelevision   List = "CTVID"
	ListRemoved      List = "Removed"
)

// Lists returns the lists that are answered, all but [ListRemoved].
func Lists() []List {
	return []List{ListNameBirthZIP, ListEmail, ListPhone, ListAdvertising, ListNameVIN, ListTelevision}
}

// Item is one line of a list.
type Item struct {
	ID   string // twelve letters and digits; case matters; never changes
	Hash Hash
	List List
}

// Status is what a broker answers for an item.
type Status int

// The statuses. 0 and 1 are not used.
const (
	Exempted Status = 2 // every record is exempt
	Deleted  Status = 3 // one person was found and deleted
	OptedOut Status = 4 // several people share the identifier: all are opted out of sale and sharing
	NotFound Status = 5 // nobody was found
)

// Valid reports whether s is one of the statuses.
func (s Status) Valid() bool { return s >= Exempted && s <= NotFound }

var (
	idShape   = regexp.MustCompile(`^[A-Za-z0-9]{12}$`)
	hashShape = regexp.MustCompile(`^[A-Za-z0-9+/]{43}=$`)
)

// ErrList says that a list's file is not one of the platform's.
var ErrList = errors.New("not a list of the platform")

// Read hands the items of a list's file to take, one after the other; it keeps
// none. The error is [ErrList] with the line, what take returned, or one of r.
// It carries no hash.
func Read(list List, r io.Reader, take func(Item) error) error {
	columns := []string{"ID", "Hash"}
	if list == ListRemoved {
		columns = append(columns, "ListType")
	}
	in := csv.NewReader(&narrow{r: r})
	in.FieldsPerRecord, in.ReuseRecord = len(columns), true
	head, err := in.Read()
	if err != nil && !errors.Is(err, io.EOF) && !errors.As(err, new(*csv.ParseError)) {
		return fmt.Errorf("reading %s: line 1: %w", list, err)
	}
	if err != nil || !slices.Equal(head, columns) {
		return fmt.Errorf("reading %s: line 1: want the header %v: %w", list, columns, ErrList)
	}
	for line := 2; ; line++ {
		row, err := in.Read()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.As(err, new(*csv.ParseError)):
			return fmt.Errorf("reading %s: line %d: want %d columns: %w", list, line, len(columns), ErrList)
		case err != nil:
			return fmt.Errorf("reading %s: %w", list, err)
		}
		item := Item{ID: row[0], Hash: Hash(row[1]), List: list}
		if list == ListRemoved {
			item.List = List(row[2])
		}
		if !idShape.MatchString(item.ID) || !hashShape.MatchString(row[1]) || !slices.Contains(Lists(), item.List) {
			return fmt.Errorf("reading %s: line %d: want an ID of 12 letters and digits, a hash, and for %s the list: %w", list, line, ListRemoved, ErrList)
		}
		if err := take(item); err != nil {
			return err
		}
	}
}
