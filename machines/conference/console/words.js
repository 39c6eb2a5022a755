// What the page says when something goes wrong.

const WORDS = {
  invalid_client: "The client id or its secret is wrong.",
  invalid_token: "The token is not valid, or has expired.",
  invalid_request: "The sign-in was not understood.",
  unauthorized_client: "This client may not speak for that user.",
  slow_down: "Too many wrong secrets. Wait a minute.",
  conference_not_found: "There is no such conference.",
  conference_exists: "There is a conference with this id already.",
  conference_ended: "The conference has ended.",
  conference_full: "The conference is full.",
  user_endpoint_not_found: "The server has forgotten this device.",
  user_endpoint_taken: "Another user has this device's id.",
  not_joined: "You are not in the conference.",
  forbidden: "You may not do that.",
  stream_not_found: "The stream is gone.",
  stream_not_ready: "The publisher is reconnecting.",
  media_unreachable: "No connection for sound and picture could be made.",
  media_on_loopback: "The server takes sound and picture at 127.0.0.1 only, to which Firefox sends none.",
  media_unavailable: "The server cannot take more media right now.",
  overloaded: "The server is busy. Try again.",
  bad_offer: "The server could not use what the browser offered.",
  unreachable: "The server cannot be reached.",
};

const DEVICES = {
  NotAllowedError: "The browser was not allowed to use camera, microphone or screen.",
  NotFoundError: "There is no camera or microphone.",
  NotReadableError: "Camera or microphone is used by another program.",
  OverconstrainedError: "No camera fits what was asked for.",
};

// Where the server says more than the sentence.
const DETAILED = new Set(["bad_offer", "invalid_request"]);

// One sentence, and what the server added.
export function inWords(error) {
  if (error.name in DEVICES) {
    return DEVICES[error.name];
  }
  const known = WORDS[error.reason];
  if (!known) {
    return error.message || String(error);
  }
  return error.detail && DETAILED.has(error.reason) ? `${known} (${error.detail})` : known;
}
