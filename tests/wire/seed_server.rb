# The server of the example in the documentation of EventMachine's SmtpServer, which
# docs/examples/email_server.c is, too; and it says which of its methods are called.  For
# test_seed_calls.py, which reads the port from the first line and ends it.
require "eventmachine"
require "ostruct"
require "socket"

class EmailServer < EM::P::SmtpServer
  def receive_plain_auth(user, pass)
    true
  end

  def get_server_domain
    "mock.smtp.server.local"
  end

  def get_server_greeting
    "mock smtp server greets you with impunity"
  end

  def receive_sender(sender)
    current.sender = sender
    true
  end

  def receive_recipient(recipient)
    current.recipient = recipient
    true
  end

  def receive_message
    current.received = true
    current.completed_at = Time.now
    @current = OpenStruct.new
    true
  end

  def receive_ehlo_domain(domain)
    @ehlo_domain = domain
    true
  end

  def receive_data_command
    current.data = ""
    true
  end

  def receive_data_chunk(data)
    current.data << data.join("\n")
    true
  end

  def receive_transaction
    if @ehlo_domain
      current.ehlo_domain = @ehlo_domain
      @ehlo_domain = nil
    end
    true
  end

  def current
    @current ||= OpenStruct.new
  end
end

module Telling
  %i[get_server_greeting get_server_domain receive_ehlo_domain receive_plain_auth
     receive_sender receive_recipient receive_data_command receive_data_chunk receive_message
     receive_reset receive_transaction connection_ended].each do |name|
    define_method(name) do |*arguments|
      # Of a password nothing is told, and of the text only that it comes.
      told = name == :receive_data_chunk ? nil : arguments.first
      $stdout.puts "#{name}(#{told})"
      super(*arguments)
    end
  end
end

EmailServer.prepend Telling
EmailServer.parms = { auth: true }
$stdout.sync = true
EM.run do
  server = EM.start_server "127.0.0.1", 0, EmailServer
  $stdout.puts Socket.unpack_sockaddr_in(EM.get_sockname(server)).first
end
