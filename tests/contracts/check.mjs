// Reads an AsyncAPI document with the specification's own parser, and prints what it finds wrong as JSON.
import { readFileSync } from "node:fs";
import { Parser } from "@asyncapi/parser";

const { document, diagnostics } = await new Parser().parse(readFileSync(process.argv[2], "utf8"));
const found = diagnostics.map(({ severity, message, path }) => ({ severity, message, path: path.join(".") }));
const channels = document ? document.allChannels().all().map((channel) => channel.address()) : null;
console.log(JSON.stringify({ channels, found }));
