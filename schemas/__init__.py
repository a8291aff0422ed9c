"""What an event is: the types of every topic, their decoding and their examples; imports nothing of ours."""
