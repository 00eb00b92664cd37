package lake

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"gocloud.dev/blob"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// resumptions is how often reading one object goes on after the connection
// broke.
const resumptions = 4

// remoteSource is one version of an object. Every request names the version it
// wants by its tag, so that what is read is one version or an error.
type remoteSource struct {
	ctx  context.Context //nolint:containedctx // io.Reader takes none; the source ends with the call that opened it
	r    *remote
	key  string
	head headed

	mu     sync.Mutex
	stream *blob.Reader // nil before the first Read and after an error
	at     int64
	broke  int
}

func (r *remote) source(ctx context.Context, key string, h headed) *remoteSource {
	return &remoteSource{ctx: ctx, r: r, key: key, head: h}
}

func (s *remoteSource) Size() int64 { return s.head.size }

func (s *remoteSource) get(off, length int64) (*blob.Reader, error) {
	rd, err := s.r.blob.NewRangeReader(s.ctx, s.key, off, length, &blob.ReaderOptions{BeforeRead: func(as func(any) bool) error {
		var in *s3.GetObjectInput
		if !as(&in) {
			return errors.New("the library reads in another way than expected")
		}
		in.IfMatch = &s.head.etag
		if s.head.version != "" {
			in.VersionId = &s.head.version
		}
		return nil
	}})
	if err != nil {
		return nil, fmt.Errorf("reading: %w", explain(err))
	}
	return rd, nil
}

// Read reads on. A connection that breaks is made again where it broke.
func (s *remoteSource) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if s.at >= s.head.size {
			return 0, io.EOF
		}
		if len(p) == 0 {
			return 0, nil
		}
		if s.stream == nil {
			stream, err := s.get(s.at, -1)
			if err != nil {
				return 0, err
			}
			s.stream = stream
		}
		n, err := s.stream.Read(p)
		s.at += int64(n)
		if err != nil && s.at < s.head.size {
			closeErr := s.stream.Close()
			s.stream = nil
			if s.broke++; s.broke > resumptions || s.ctx.Err() != nil {
				return n, fmt.Errorf("reading: %w", errors.Join(explain(err), closeErr))
			}
			err = nil
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// ReadAt asks for exactly the bytes wanted; callers ask for large pieces.
func (s *remoteSource) ReadAt(p []byte, off int64) (int, error) {
	if off >= s.head.size {
		return 0, io.EOF
	}
	want := min(int64(len(p)), s.head.size-off)
	var n int
	for broke := 0; ; broke++ {
		rd, err := s.get(off+int64(n), want-int64(n))
		if err != nil {
			return n, err
		}
		more, err := io.ReadFull(rd, p[n:want])
		n += more
		if err = errors.Join(err, rd.Close()); err == nil {
			break
		}
		if broke == resumptions || s.ctx.Err() != nil {
			return n, fmt.Errorf("reading: %w", explain(err))
		}
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (s *remoteSource) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stream == nil {
		return nil
	}
	err := s.stream.Close()
	s.stream = nil
	return err
}

// inherit makes a new version look like the old one: its headers, metadata,
// tags, storage class and encryption.
func (r *remote) inherit(ctx context.Context, key string, h headed) (*s3.PutObjectInput, error) {
	old := h.out
	if aws.ToString(old.SSECustomerAlgorithm) != "" {
		return nil, sdk.Permanent(sdk.WithCode(sdk.Configuration, errors.New("it is encrypted with a key of the customer's, which this program does not hold")))
	}
	in := &s3.PutObjectInput{
		Bucket: &r.name, Key: &key,
		ContentType: old.ContentType, ContentEncoding: old.ContentEncoding, ContentLanguage: old.ContentLanguage,
		ContentDisposition: old.ContentDisposition, CacheControl: old.CacheControl,
		Metadata: old.Metadata, StorageClass: old.StorageClass,
		ServerSideEncryption: old.ServerSideEncryption, SSEKMSKeyId: old.SSEKMSKeyId, BucketKeyEnabled: old.BucketKeyEnabled,
		WebsiteRedirectLocation: old.WebsiteRedirectLocation,
	}
	if aws.ToInt32(old.TagCount) > 0 {
		tags, err := r.client.GetObjectTagging(ctx, &s3.GetObjectTaggingInput{Bucket: &r.name, Key: &key})
		if err != nil {
			return nil, fmt.Errorf("reading its tags: %w", explain(err))
		}
		in.Tagging = aws.String(tagText(tags.TagSet))
	}
	return in, nil
}
