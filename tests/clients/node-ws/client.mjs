// A listener on Node's `ws`, with its default options: it offers permessage-deflate.
import WebSocket from "ws";

const { SLUICE_CLIENT_URL: url, SLUICE_CLIENT_TOKEN: token } = process.env;
const leaveAfter = Number(process.env.SLUICE_CLIENT_LEAVE_AFTER);
const say = (line) => console.log(JSON.stringify(line));

// A browser's way: no header, the token is a subprotocol.
const open = (query, secret) => new WebSocket(`${url}?${query}`, ["sluice.v1", `bearer.${secret}`]);

function refused() {
  return new Promise((done) => {
    const socket = open("earliest", "wrong");
    socket.on("unexpected-response", (request, response) => {
      say({ refused: response.statusCode });
      request.destroy();
      done();
    });
    socket.on("error", () => {});
  });
}

function listen(query, leaveAt) {
  return new Promise((done, failed) => {
    const socket = open(query, token);
    let cursor;
    let left = leaveAt;
    socket.on("error", failed);
    socket.on("open", () => {
      if (socket.extensions) failed(new Error(`an extension was agreed on: ${socket.extensions}`));
      say({ opened: socket.protocol });
    });
    socket.on("message", (data, isBinary) => {
      if (isBinary) failed(new Error("a binary message"));
      const message = JSON.parse(data);
      say({ message: data.toString() });
      if (!message.data) return;
      cursor = message.cursor;
      left -= message.data.length;
      if (left === 0) socket.ping("are you there?");
    });
    socket.on("pong", (payload) => {
      say({ pong: payload.toString() === "are you there?" });
      socket.close(1000, "enough");
    });
    socket.on("close", (code, reason) => {
      say(left === 0 ? { left: code } : { closed: code, reason: reason.toString() });
      done(cursor);
    });
  });
}

await refused();
const cursor = await listen("earliest", leaveAfter);
await listen(`cursor=${encodeURIComponent(cursor)}`, Infinity);
