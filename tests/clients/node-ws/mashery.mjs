// A listener as the public Mashery clients are: the token stands in the URL, each message is binary
// and an object whose `data` has one call, a flat record of texts.
import WebSocket from "ws";

const { SLUICE_CLIENT_URL: url, SLUICE_CLIENT_TOKEN: token } = process.env;
const say = (line) => console.log(JSON.stringify(line));

const socket = new WebSocket(`${url}?key=${token}`);
socket.on("open", () => say({ opened: socket.protocol }));
socket.on("message", (data, isBinary) => say({ call: JSON.parse(data.toString("utf8")).data[0], isBinary }));
socket.on("close", (code, reason) => say({ closed: code, reason: reason.toString() }));
socket.on("error", (error) => {
  say({ failed: String(error) });
  process.exitCode = 1;
});
