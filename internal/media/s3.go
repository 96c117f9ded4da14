package media

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"gocloud.dev/blob"
	"gocloud.dev/blob/s3blob"
)

const (
	// s3AttemptsMax is how often the SDK tries a request (count), with up to
	// s3BackoffMax between two tries.
	s3AttemptsMax = 4
	s3BackoffMax  = 5 * time.Second
	// s3Connect bounds the making of a connection, s3Answer the wait for the head
	// of an answer, s3Exchange one request with its bodies: 64 MiB at 2 Mbit/s.
	s3Connect  = 5 * time.Second
	s3Answer   = 30 * time.Second
	s3Exchange = 5 * time.Minute
	// s3Connections is how many idle ones are kept (count): as many as a node
	// streams at once, usually.
	s3Connections = 64
)

// conflict is S3's answer to one of two conditional writes that meet: try again.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
const conflict = "ConditionalRequestConflict"

// bucketName is what S3 allows, without the dots that no certificate covers.
var bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$`)

// s3Place is a bucket: s3://BUCKET?region=REGION&endpoint=URL&use_path_style=true.
type s3Place struct {
	bucket string
	// region is empty for that of AWS_REGION or the shared configuration.
	region string
	// endpoint is another server than AWS, empty for AWS.
	endpoint string
	// pathStyle puts the bucket into the path: servers without a name for each.
	pathStyle bool
}

// CheckLocation says what is wrong with the location of a store that outlives the
// process, without opening it.
func CheckLocation(location string) error {
	if strings.HasPrefix(location, "s3:") {
		_, err := parseS3(location)
		return err
	}
	_, isDir, err := directoryOf(location)
	if err == nil && !isDir {
		err = errors.New("no store of this build: want a directory, file:///DIR, or s3://BUCKET?region=REGION")
	}
	return err
}

// parseS3 never quotes the location: somebody may have put a password into it.
func parseS3(location string) (s3Place, error) {
	u, err := url.Parse(location)
	switch {
	case err != nil || u.Scheme != "s3" || !bucketName.MatchString(u.Host) || (u.Path != "" && u.Path != "/") || u.Fragment != "":
		return s3Place{}, errors.New("no S3 location: want s3://BUCKET?region=REGION&endpoint=URL&use_path_style=true, of which BUCKET is needed")
	case u.User != nil:
		return s3Place{}, errors.New("an S3 location holds no credentials: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY do")
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return s3Place{}, errors.New("the parameters of the S3 location cannot be read")
	}
	place := s3Place{bucket: u.Host}
	for name, values := range query {
		value := values[len(values)-1]
		switch name {
		case "region":
			place.region = value
		case "endpoint":
			place.endpoint, err = endpointOf(value)
		case "use_path_style":
			place.pathStyle, err = strconv.ParseBool(value)
		default:
			err = errors.New("is not known")
		}
		if err != nil || len(values) != 1 {
			return s3Place{}, fmt.Errorf("parameter %.40q of the S3 location: want region, endpoint=https://HOST or use_path_style=true, each once", name)
		}
	}
	return place, nil
}

func endpointOf(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", errors.New("no endpoint")
	}
	return text, nil
}

// openS3 opens a bucket with the credentials of the usual AWS places: variables,
// shared files, the role of the machine or pod.
func openS3(ctx context.Context, location string) (*blob.Bucket, error) {
	place, err := parseS3(location)
	if err != nil {
		return nil, err
	}
	config, err := awsconfig.LoadDefaultConfig(ctx,
		awsconfig.WithRegion(place.region),
		awsconfig.WithHTTPClient(awshttp.NewBuildableClient().WithTimeout(s3Exchange).
			WithDialerOptions(func(d *net.Dialer) { d.Timeout = s3Connect }).
			WithTransportOptions(func(t *http.Transport) {
				t.TLSHandshakeTimeout, t.ResponseHeaderTimeout = s3Connect, s3Answer
				t.MaxIdleConnsPerHost = s3Connections
			})),
		awsconfig.WithRetryer(func() aws.Retryer {
			return retry.AddWithErrorCodes(retry.NewStandard(func(o *retry.StandardOptions) {
				o.MaxAttempts, o.MaxBackoff = s3AttemptsMax, s3BackoffMax
			}), conflict)
		}),
	)
	if err != nil {
		return nil, err
	}
	if config.Region == "" {
		return nil, errors.New("the S3 location names no region, and AWS_REGION is not set")
	}
	client := s3.NewFromConfig(config, func(o *s3.Options) {
		o.UsePathStyle = place.pathStyle
		if place.endpoint != "" {
			o.BaseEndpoint = &place.endpoint
		}
		// Other servers than AWS know no trailing checksums. Keys name the hash of
		// their bytes, and TLS carries them.
		o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
	})
	return s3blob.OpenBucket(ctx, client, place.bucket, &s3blob.Options{RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired})
}
